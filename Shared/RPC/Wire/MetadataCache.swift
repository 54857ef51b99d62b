/// The metadata of a connection's last call: clients send the same with most calls.
struct MetadataCache {
  /// What is kept of a call's fields, as header lists are counted.
  private static let listBytesMax = 1_024

  private var fields: [HeaderField] = []
  private var metadata = Metadata()

  /// The metadata within a received header list, made anew only where it differs from the last.
  mutating func metadata(of list: [HeaderField]) -> Metadata {
    if isLast(list) { return metadata }
    let metadata = Metadata(fields: list)
    let fields = list.filter { $0.known == .other }
    if fields.listSize <= Self.listBytesMax { (self.fields, self.metadata) = (fields, metadata) }
    return metadata
  }

  private func isLast(_ list: [HeaderField]) -> Bool {
    var index = 0
    for field in list where field.known == .other {
      guard index < fields.count, fields[index] == field else { return false }
      index += 1
    }
    return index == fields.count
  }
}
