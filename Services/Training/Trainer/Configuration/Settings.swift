internal import JSON

extension TrainingConfiguration {
  /// One row of the table that parsing, validation and `--help` read.
  struct Setting: Sendable {
    let name: String
    let tasks: [TrainingTask]
    let kind: Kind
    let meaning: String

    init(
      _ name: String,
      _ kind: Kind,
      _ meaning: String,
      tasks: [TrainingTask] = TrainingTask.allCases
    ) {
      self.name = name
      self.kind = kind
      self.meaning = meaning
      self.tasks = tasks
    }

    /// The default, by task where tasks differ.
    var defaultSummary: String {
      let values = tasks.map { kind.get(TrainingConfiguration(task: $0)) }
      guard let first = values.first else { return "" }
      if values.allSatisfy({ $0 == first }) { return first }
      return zip(tasks, values).map { "\($0.rawValue) \($1)" }.joined(separator: ", ")
    }
  }

  /// How a setting is read, checked and written.
  struct Kind: Sendable {
    /// What is allowed, for messages.
    let summary: String
    /// Sets the value; false if the text is not allowed.
    let set: @Sendable (inout TrainingConfiguration, String) -> Bool
    /// Whether the value is allowed.
    let isValid: @Sendable (TrainingConfiguration) -> Bool
    /// The value as text.
    let get: @Sendable (TrainingConfiguration) -> String
  }

  typealias Path<Value> = WritableKeyPath<TrainingConfiguration, Value> & Sendable

  static func integer(_ path: any Path<Int>, _ range: ClosedRange<Int>) -> Kind {
    Kind(
      summary: "an integer in \(range.lowerBound)...\(range.upperBound)",
      set: { configuration, text in
        guard let value = Int(text), range.contains(value) else { return false }
        configuration[keyPath: path] = value
        return true
      },
      isValid: { range.contains($0[keyPath: path]) },
      get: { String($0[keyPath: path]) }
    )
  }

  static func real(_ path: any Path<Double>, _ range: ClosedRange<Double>) -> Kind {
    Kind(
      summary: "a number in \(range.lowerBound)...\(range.upperBound)",
      set: { configuration, text in
        guard let value = Double(text), range.contains(value) else { return false }
        configuration[keyPath: path] = value
        return true
      },
      isValid: { range.contains($0[keyPath: path]) },
      get: { "\($0[keyPath: path])" }
    )
  }

  static func flag(_ path: any Path<Bool>) -> Kind {
    Kind(
      summary: "true or false",
      set: { configuration, text in
        guard let value = Bool(text) else { return false }
        configuration[keyPath: path] = value
        return true
      },
      isValid: { _ in true },
      get: { String($0[keyPath: path]) }
    )
  }

  static func word<Word: CaseIterable & RawRepresentable<String> & Sendable>(
    _ path: any Path<Word>
  ) -> Kind {
    Kind(
      summary: "one of \(Word.allCases.map(\.rawValue).joined(separator: ", "))",
      set: { configuration, text in
        guard let value = Word(rawValue: text) else { return false }
        configuration[keyPath: path] = value
        return true
      },
      isValid: { _ in true },
      get: { $0[keyPath: path].rawValue }
    )
  }

  private static let rateRange = 1e-9...10.0

  /// The peak learning rate, whose default depends on the run.
  private static let learningRateKind = Kind(
    summary: "auto or a number in \(rateRange.lowerBound)...\(rateRange.upperBound)",
    set: { configuration, text in
      if text == "auto" {
        configuration.learningRate = nil
        return true
      }
      guard let value = Double(text), rateRange.contains(value) else { return false }
      configuration.learningRate = value
      return true
    },
    isValid: { $0.learningRate.map(rateRange.contains) ?? true },
    get: { $0.learningRate.map { "\($0)" } ?? "auto" }
  )

  private static let seedKind = Kind(
    summary: "an integer in 0...\(UInt64.max)",
    set: { configuration, text in
      guard let value = UInt64(text) else { return false }
      configuration.seed = value
      return true
    },
    isValid: { _ in true },
    get: { String($0.seed) }
  )

  /// The longest sequence, in tokens.
  static let sequenceTokensMax = 1 << 17

  /// The settings in the order of `--help`.
  static let settings: [Setting] = [
    Setting("epochs", integer(\.epochs, 1...1_000), "passes over the training rows"),
    Setting("batchSize", integer(\.batchSize, 1...4_096), "sequences of a batch"),
    Setting(
      "accumulation",
      integer(\.accumulation, 1...1_024),
      "batches of an optimizer step; the loss is the mean over the labelled tokens of all"
    ),
    Setting(
      "microbatchTokens",
      integer(\.microbatchTokens, 16...1 << 20),
      "tokens that go through the model at once; larger batches go in parts with the same result"
    ),
    Setting(
      "tokensMax",
      integer(\.tokensMax, 8...sequenceTokensMax),
      "tokens of a sequence; longer ones are cut and counted"
    ),
    Setting(
      "learningRate",
      learningRateKind,
      "peak learning rate; auto: 5e-05, of chat from scratch 0.002"
    ),
    Setting(
      "learningRateMultiplier",
      real(\.learningRateMultiplier, 1e-6...1e6),
      "multiplies the peak learning rate, also that of auto"
    ),
    Setting("schedule", word(\.schedule), "how the learning rate falls from its peak"),
    Setting("warmup", real(\.warmup, 0...1e9), "below 1: fraction of all steps; else steps"),
    Setting(
      "scheduleFloor",
      real(\.scheduleFloor, 0...1),
      "where the cosine schedule ends, as a fraction of the peak"
    ),
    Setting("optimizer", word(\.optimizer), "the optimizer"),
    Setting("beta1", real(\.beta1, 0...0.999999), "Adam: decay of the mean of gradients"),
    Setting("beta2", real(\.beta2, 0...0.999999), "Adam: decay of the mean of their squares"),
    // Not 0: a parameter whose gradient is always 0 would be divided by it.
    Setting("epsilon", real(\.epsilon, 1e-12...1), "Adam: added to the root of the mean square"),
    Setting("momentum", real(\.momentum, 0...0.999999), "SGD: momentum"),
    Setting("nesterov", flag(\.nesterov), "SGD: Nesterov's momentum"),
    Setting(
      "weightDecay",
      real(\.weightDecay, 0...10),
      "decay of weights, not of biases and norms"
    ),
    Setting("clipNorm", real(\.clipNorm, 0...1e9), "most global norm of a gradient; 0: no limit"),
    Setting("dropout", real(\.dropout, 0...0.95), "probability of dropout"),
    Setting("seed", seedKind, "source of everything random"),
    Setting("bucketing", word(\.bucketing), "how sequences of similar length share a batch"),
    Setting(
      "evaluationsPerEpoch",
      integer(\.evaluationsPerEpoch, 0...1_000),
      "evaluations on the dev split in an epoch"
    ),
    Setting("devRowsMax", integer(\.devRowsMax, 0...1 << 30), "rows of dev to use; 0: all"),
    Setting("keepBest", flag(\.keepBest), "keep the weights best on dev; else the last"),
    Setting(
      "bestMetric",
      word(\.bestMetric),
      "what is compared on dev; auto: F1 of entities, accuracy of labels, loss of language"
    ),
    Setting(
      "patience",
      integer(\.patience, 0...10_000),
      "evaluations without a better result before an early stop; 0: never"
    ),
    Setting(
      "checkpointSteps",
      integer(\.checkpointSteps, 0...1 << 30),
      "steps between checkpoints; 0: at the end of each epoch only"
    ),
    Setting("saveDtype", word(\.saveDtype), "element type of the finished weights"),
    Setting("lossTokens", word(\.lossTokens), "tokens that the loss counts", tasks: [.chat]),
    Setting(
      "augment",
      flag(\.augment),
      "vary user messages: 15% lower case, 10% without final punctuation, 10% lose a word",
      tasks: [.chat]
    ),
    Setting(
      "turnsMax",
      integer(\.turnsMax, 1...16),
      "join up to this many single-turn rows, in one of four conversations",
      tasks: [.chat]
    ),
    Setting(
      "scratchHidden",
      integer(\.scratch.hidden, 8...16_384),
      "from scratch: hidden size",
      tasks: [.chat]
    ),
    Setting("scratchLayers", integer(\.scratch.layers, 1...256), "layers", tasks: [.chat]),
    Setting("scratchHeads", integer(\.scratch.heads, 1...256), "attention heads", tasks: [.chat]),
    Setting(
      "scratchKvHeads",
      integer(\.scratch.kvHeads, 1...256),
      "heads of keys and values",
      tasks: [.chat]
    ),
    Setting(
      "scratchIntermediate",
      integer(\.scratch.intermediate, 8...65_536),
      "width of the feed-forward part",
      tasks: [.chat]
    ),
    Setting(
      "scratchContext",
      integer(\.scratch.context, 8...sequenceTokensMax),
      "longest sequence, in tokens",
      tasks: [.chat]
    ),
    Setting(
      "scratchVocabulary",
      integer(\.scratch.vocabulary, 260...262_144),
      "entries of the vocabulary, trained on the data",
      tasks: [.chat]
    ),
  ]
}
