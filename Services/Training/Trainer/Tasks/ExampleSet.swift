internal import Tensors

/// Sequences of token ids with a label for each row of the model, in flat arrays.
struct ExampleSet: Sendable, Equatable {
  /// The label of a row that counts for nothing.
  static let ignored = Graph.ignoredLabel

  private(set) var ids: [UInt32] = []
  private(set) var labels: [UInt32] = []
  /// Where each sequence begins, and in the end where the last ends.
  private(set) var bounds: [Int] = [0]

  /// The number of sequences.
  var count: Int { bounds.count - 1 }
  /// Tokens of all sequences.
  var tokenCount: Int { ids.count }
  /// The memory that it takes.
  var byteCount: Int {
    (ids.capacity + labels.capacity) * MemoryLayout<UInt32>.stride
      + bounds.capacity * MemoryLayout<Int>.stride
  }

  /// Adds a sequence, which has as many labels as ids and is not empty.
  mutating func append(ids: some Collection<UInt32>, labels: some Collection<UInt32>) {
    precondition(!ids.isEmpty && ids.count == labels.count)
    self.ids += ids
    self.labels += labels
    bounds.append(self.ids.count)
  }

  /// The tokens of sequence `index`.
  func range(_ index: Int) -> Range<Int> { bounds[index]..<bounds[index + 1] }

  /// The tokens of sequence `index`.
  func length(_ index: Int) -> Int { bounds[index + 1] - bounds[index] }

  /// The lengths of all sequences.
  var lengths: [Int] { (0..<count).map(length) }

  /// Replaces the labels of sequence `index` that count.
  mutating func mapLabels(of index: Int, _ transform: (UInt32) -> UInt32) {
    for position in range(index) where labels[position] != Self.ignored {
      labels[position] = transform(labels[position])
    }
  }
}

/// What was noticed while data was read, for reports.
package struct DataSummary: Sendable, Equatable, Codable {
  /// Rows of each split.
  package var rows: [String: Int] = [:]
  /// Tokens of each split, those of the training split in its first epoch.
  package var tokens: [String: Int] = [:]
  /// Sequences that were longer than `tokensMax` and have been cut, by split.
  package var truncated: [String: Int] = [:]
  /// Words whose first token was cut off or that have no token: they are not learned or scored.
  package var unlabelledWords: [String: Int] = [:]
  /// How often a tag or label that training does not have occurs, by split.
  package var unseenLabels: [String: Int] = [:]
  /// Some of the tags or labels that training does not have.
  package var unseenNames: [String] = []
  /// How the tags of entities were written: IOB1, IOB2, IOBES or other.
  package var tagScheme: String?

  mutating func count(_ path: WritableKeyPath<DataSummary, [String: Int]>, _ split: Split) {
    self[keyPath: path][split.rawValue, default: 0] += 1
  }

  mutating func countUnseen(_ name: String, _ split: Split) {
    count(\.unseenLabels, split)
    if unseenNames.count < DataLimits.namesShownMax, !unseenNames.contains(name) {
      unseenNames.append(name)
    }
  }
}

extension DataSummary {
  /// One sentence for each thing that a user may want to change.
  func notices(tokensMax: Int) -> [String] {
    var notices: [String] = []
    for split in Split.allCases {
      let name = split.rawValue
      if let count = truncated[name], count > 0 {
        notices.append("\(name): \(count) sequences are longer than \(tokensMax) tokens and cut")
      }
      if let count = unlabelledWords[name], count > 0 {
        notices.append("\(name): \(count) words have no token within the limit; they do not count")
      }
      if let count = unseenLabels[name], count > 0 {
        let names = unseenNames.joined(separator: ", ")
        notices.append(
          "\(name): \(count) labels do not occur in training (\(names)); they are scored as errors"
        )
      }
    }
    return notices
  }
}
