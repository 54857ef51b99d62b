import NIOCore
import Testing

@testable import RPC

/// The decisions about clients that take too long or send too much, without time and sockets.
@Suite struct ConnectionGuardsTests {
  private static func at(_ seconds: Int64) -> NIODeadline {
    .uptimeNanoseconds(1_000_000_000_000) + .seconds(seconds)
  }

  private static func sample(
    block: UInt64? = nil,
    isFull: Bool = false,
    takenBytes: UInt64 = 0
  ) -> ConnectionGuards.Sample {
    ConnectionGuards.Sample(
      openHeaderBlock: block,
      isSocketFull: isFull,
      takenBytes: takenBytes
    )
  }

  private static let limits = ConnectionGuards.Limits(
    headers: .seconds(10),
    socket: .seconds(60),
    responses: .seconds(300),
    request: .seconds(120)
  )

  @Test func `a stall counts from the last progress`() {
    var watch = StallWatch(.seconds(10))
    let answers = [(0, 1), (9, 1), (9, 2), (18, 2), (19, 2)].map { (second, progress) in
      watch.check(isOwed: true, progress: progress, at: Self.at(Int64(second)))
    }
    #expect(answers == [false, false, false, false, true])
    let rest = watch.check(isOwed: false, progress: 2, at: Self.at(30))
    #expect(!rest)
    #expect(!watch.isWaiting)
    let again = watch.check(isOwed: true, progress: 2, at: Self.at(31))
    #expect(!again)
    var unbounded = StallWatch(nil)
    let answer = unbounded.check(isOwed: true, progress: 1, at: Self.at(1_000_000))
    #expect(!answer)
  }

  @Test func `a header block has to be complete, whatever else happens`() {
    var guards = ConnectionGuards(Self.limits)
    let answers = [0, 9, 10].map { second in
      guards.check(
        Self.sample(block: 7, takenBytes: UInt64(second)),
        at: Self.at(Int64(second))
      )
    }
    #expect(answers == [nil, nil, "a header block is not complete in time"])
    var others = ConnectionGuards(Self.limits)
    let moving = (0..<100).map { others.check(Self.sample(block: $0), at: Self.at(Int64($0))) }
    #expect(moving.allSatisfy { $0 == nil })
  }

  @Test func `a socket has to take something`() {
    var guards = ConnectionGuards(Self.limits)
    var answers = [0, 59, 60].map { guards.check(Self.sample(isFull: true), at: Self.at($0)) }
    #expect(answers == [nil, nil, "the client does not read from its socket"])
    guards = ConnectionGuards(Self.limits)
    answers = (0..<10).map {
      guards.check(Self.sample(isFull: true, takenBytes: UInt64($0)), at: Self.at($0 * 59))
    }
    #expect(answers.allSatisfy { $0 == nil })
  }

  @Test func `responses have to be taken, each stream's by itself`() {
    var guards = ConnectionGuards(Self.limits)
    var stalled: [[Int32]] = []
    // 1 is never taken, 3 by a byte at a time, 5 comes late and goes early.
    for (second, waiting) in [
      (0, [1: 7, 3: 0]), (299, [1: 7, 3: 1, 5: 0]), (300, [1: 7, 3: 1, 5: 0]),
      (598, [3: 2]), (897, [3: 3, 5: 0]), (900, [3: 3, 5: 0]), (1197, [3: 3, 5: 0]),
    ] as [(Int64, [Int32: UInt64])] {
      stalled.append(guards.stalledStreams(waiting, at: Self.at(second)))
    }
    #expect(stalled == [[], [], [1], [], [], [], [3, 5]])
  }

  @Test func `checks come often enough and not too often`() {
    #expect(ConnectionGuards(Self.limits).interval == .milliseconds(2500))
    #expect(ConnectionGuards(ConnectionGuards.Limits()).interval == .milliseconds(1250))
    let short = ConnectionGuards.Limits(headers: .milliseconds(1))
    #expect(ConnectionGuards(short).interval == .milliseconds(5))
    let long = ConnectionGuards.Limits(headers: .hours(1))
    #expect(ConnectionGuards(long).interval == .seconds(5))
  }

  @Test func `window updates are allowed by DATA and streams`() {
    var account = WindowUpdateAccount(burst: 3)
    var answers = (0..<4).map { _ in account.received() }
    #expect(answers == [true, true, true, false])
    account = WindowUpdateAccount(burst: 20)
    // Two updates for each frame, as clients send them that update stream and connection.
    for _ in 0..<1000 {
      account.sentData()
      answers = [account.received(), account.received()]
      #expect(answers == [true, true])
    }
    // What was not used is not saved beyond the burst.
    answers = (0..<30).map { _ in account.received() }
    #expect(answers.count { $0 } <= 20)
    account.opened()
    for _ in 0..<30 { account.opened() }
    answers = (0..<30).map { _ in account.received() }
    #expect(answers.count { $0 } > 0)
  }
}
