internal import Models
internal import Optimizers

/// What the loop needs of a model; tests of the loop train smaller things.
///
/// Used by one thread at a time.
protocol TrainableNetwork: AnyObject {
  /// The parameters with their gradients, in a fixed order, in memory that the network owns.
  var parameterBuffers: [ParameterBuffer] { get }

  /// Adds the gradients of `scale` times the sum of the labelled rows' cross entropies, and returns
  /// that sum times `scale`.
  func accumulateGradients(
    _ batch: PackedBatch,
    scale: Float,
    dropout: Float
  ) throws(TrainerError) -> Float

  /// The logits `[rows, columns]` of a batch without dropout, valid until the next call.
  func evaluatedLogits(_ batch: PackedBatch) throws(TrainerError) -> UnsafeBufferPointer<Float>
}

extension TrainableNetwork {
  /// Refuses weights that are infinite or not a number, or would be when they are saved.
  /// - Throws: `diverged`, naming the first tensor of them and how many of its values.
  func requireFinite(
    savedAs type: TrainingConfiguration.SaveDtype
  ) throws(TrainerError) {
    // The first magnitude, as bits, that is not finite; of bf16, that is rounded to infinity.
    let limit: UInt32 = type == .bf16 ? 0x7F7F_8000 : 0x7F80_0000
    for parameter in parameterBuffers {
      var count = 0
      for value in parameter.values where value.bitPattern & 0x7FFF_FFFF >= limit { count += 1 }
      guard count == 0 else {
        throw TrainerError(
          .diverged,
          "\(count) of the \(parameter.values.count) values of \(parameter.name) are not finite "
            + "as \(type.rawValue); a lower learningRate may help"
        )
      }
    }
  }
}

extension TrainableModel: TrainableNetwork {
  var parameterBuffers: [ParameterBuffer] {
    parameters.map { parameter in
      ParameterBuffer(
        name: parameter.name,
        values: parameter.values,
        gradients: parameter.gradients,
        isDecayed: parameter.isDecayed
      )
    }
  }

  func accumulateGradients(
    _ batch: PackedBatch,
    scale: Float,
    dropout: Float
  ) throws(TrainerError) -> Float {
    do throws(ModelError) {
      return try step(batch, scale: scale, dropout: dropout)
    } catch {
      throw TrainerError(error)
    }
  }

  func evaluatedLogits(
    _ batch: PackedBatch
  ) throws(TrainerError) -> UnsafeBufferPointer<Float> {
    do throws(ModelError) {
      return try logits(batch)
    } catch {
      throw TrainerError(error)
    }
  }
}

extension TrainerError {
  /// Wraps an error of a model.
  init(_ error: ModelError) {
    let code: Code =
      switch error.code {
      case .invalidModel, .unsupported: .invalidModel
      case .memoryLimit: .memoryLimit
      // Ids outside the vocabulary: the tokenizer is not the model's.
      case .invalidInput: .invalidModel
      case .capacityExceeded, .internal: .internal
      }
    self.init(code, error.message, cause: error)
  }
}
