internal import Checkpoints
internal import Tensors

/// A family of models: reads its weights and builds its graph.
///
/// A new one is a file with a type that conforms, and a row in `ArchitectureRegistry`.
protocol Architecture: Sendable {
  /// Reads the weights that `configuration` implies.
  init(_ configuration: ModelConfiguration, _ weights: inout WeightLoader) throws(ModelError)

  /// Adds the model to a graph and returns its logits, f32: `[rows, vocabulary]` or `[rows, labels]`;
  /// `[1, vocabulary]` for a decoder's graph that wants the last row only. Those of a text
  /// classifier mean something in the first row of a sequence.
  func logits(_ model: inout ModelGraph) throws(TensorError) -> Value
}

extension Architecture {
  /// The inference graph for a sequence of at most `rows` tokens.
  ///
  /// Inputs: token ids and positions, `[rows]` u32, live. Output: the logits.
  func graph(rows: Int) throws(TensorError) -> Graph {
    var model = try ModelGraph(rows: rows)
    model.graph.output(try logits(&model))
    return model.graph
  }
}

/// The architectures by the name in `config.json`.
enum ArchitectureRegistry {
  static let table: [String: any Architecture.Type] = [
    "BertForSequenceClassification": Bert.self,
    "BertForTokenClassification": Bert.self,
    "LlamaForCausalLM": Llama.self,
  ]

  /// The type for `configuration`; throws `unsupported` when there is none.
  static func type(
    for configuration: ModelConfiguration
  ) throws(ModelError) -> any Architecture.Type {
    guard let type = table[configuration.architecture] else {
      let known = table.keys.sorted().joined(separator: ", ")
      throw ModelError(
        .unsupported,
        "architecture \(configuration.architecture) is not one of \(known)"
      )
    }
    return type
  }
}

/// A model in memory: its configuration, and a program per shape class.
struct LoadedModel: Sendable {
  let configuration: ModelConfiguration
  /// For at most 1, 2, 4, … tokens; the last for `rowsMax`.
  let programs: [Program]
  let rowsMax: Int
  let weightBytes: Int

  /// Loads the model in `folder` for `task`, with programs for calls of up to `rowsMax` tokens.
  init(
    folder: String,
    task: ModelTask,
    threads: ThreadPool,
    limits: ModelLimits,
    rowsMax: (ModelConfiguration) -> Int
  ) throws(ModelError) {
    let configuration: ModelConfiguration
    let file: SafetensorsFile
    do throws(CheckpointError) {
      configuration = try ModelConfiguration(folder: folder)
      file = try SafetensorsFile(path: "\(folder)/model.safetensors")
    } catch {
      throw ModelError(error)
    }
    let type = try ArchitectureRegistry.type(for: configuration)
    guard configuration.task == task else {
      throw ModelError(
        .unsupported,
        "\(configuration.architecture) is for \(configuration.task.rawValue), not \(task.rawValue)"
      )
    }
    var weights = WeightLoader(
      file: file,
      threads: threads,
      byteCountMax: limits.weightBytesMax
    )
    let architecture = try type.init(configuration, &weights)
    self.configuration = configuration
    self.rowsMax = rowsMax(configuration)
    weightBytes = weights.byteCount
    programs = try LoadedModel.compile(
      architecture,
      rowsMax: self.rowsMax,
      threads: threads,
      limits: limits
    )
  }

  /// Compiles every shape class when the model loads, so that its memory is known before the first
  /// call and no call allocates.
  ///
  /// Classes double: their number is at most 25 (`sizeMax`).
  private static func compile(
    _ architecture: any Architecture,
    rowsMax: Int,
    threads: ThreadPool,
    limits: ModelLimits
  ) throws(ModelError) -> [Program] {
    var programs: [Program] = []
    var rows = 1
    do throws(TensorError) {
      while true {
        let program = try Program(
          try architecture.graph(rows: rows),
          threadCount: threads.threadCount
        )
        guard program.peakBytes <= limits.arenaBytesMax else {
          throw TensorError(
            .memoryLimit,
            "the plan needs \(program.peakBytes) bytes, the limit is \(limits.arenaBytesMax)"
          )
        }
        programs.append(program)
        if rows == rowsMax { return programs }
        rows = min(rows * 2, rowsMax)
      }
    } catch {
      throw ModelError(error, "graph for \(rows) tokens")
    }
  }

  /// The program of the smallest class that holds `rows`, which must be in `1...rowsMax`.
  func program(rows: Int) -> Program {
    precondition(rows >= 1 && rows <= rowsMax)
    let doublings = rows == 1 ? 0 : Int.bitWidth - (rows - 1).leadingZeroBitCount
    return programs[min(doublings, programs.count - 1)]
  }
}
