/// How many connections a server has, in all and of each client address.
///
/// Not thread-safe; bounded by the connections there are.
struct ConnectionLimiter {
  /// Why a connection is refused.
  enum Refusal: Equatable, CustomStringConvertible {
    case total(Int)
    case address(String, Int)

    var description: String {
      switch self {
      case .total(let most): "there are \(most) connections"
      case .address(let address, let most): "\(address) has \(most) connections"
      }
    }
  }

  private let total: Int
  private let perAddress: Int?
  private(set) var count = 0
  private var counts: [String: Int] = [:]

  init(total: Int, perAddress: Int?) {
    self.total = total
    self.perAddress = perAddress
  }

  /// Counts a connection in, or says why not; without an address it counts in all alone.
  mutating func admit(_ address: String?) -> Refusal? {
    guard count < total else { return .total(total) }
    if let perAddress, let address {
      let current = counts[address, default: 0]
      guard current < perAddress else { return .address(address, perAddress) }
      counts[address] = current + 1
    }
    count += 1
    return nil
  }

  /// A connection that was counted in is gone.
  mutating func release(_ address: String?) {
    count -= 1
    guard let address, let current = counts[address] else { return }
    counts[address] = current > 1 ? current - 1 : nil
  }
}
