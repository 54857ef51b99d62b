import Synchronization

/// The servers and channels of this process that are alive, for diagnosis (gRFC A14, "channelz").
///
/// Each stands here from its begin to its end, without being kept alive by that.
public enum LiveEntities {
  private struct Weak<Entity: AnyObject & Sendable>: Sendable {
    weak let entity: Entity?
  }

  private static let heldServers = Mutex<[Int: Weak<RPCServer>]>([:])
  private static let heldChannels = Mutex<[Int: Weak<RPCChannel>]>([:])

  /// The servers that were not shut down, by their ids.
  public static var servers: [RPCServer] {
    let held = heldServers.withLock { $0 }
    return held.sorted { $0.key < $1.key }.compactMap(\.value.entity)
  }

  /// The channels, by their ids.
  public static var channels: [RPCChannel] {
    let held = heldChannels.withLock { $0 }
    return held.sorted { $0.key < $1.key }.compactMap(\.value.entity)
  }

  static func add(_ server: RPCServer) {
    heldServers.withLock { $0[server.id] = Weak(entity: server) }
  }

  static func add(_ channel: RPCChannel) {
    heldChannels.withLock { $0[channel.id] = Weak(entity: channel) }
  }

  static func removeServer(_ id: Int) {
    heldServers.withLock { _ = $0.removeValue(forKey: id) }
  }

  static func removeChannel(_ id: Int) {
    heldChannels.withLock { _ = $0.removeValue(forKey: id) }
  }
}
