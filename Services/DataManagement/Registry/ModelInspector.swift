import Checkpoints
package import Store
import Tokenizers

/// Reads a model folder and says what it is, or which of its files is damaged.
package struct ModelInspector: Sendable {
  /// What an inspection throws.
  package typealias Failure = DataError

  /// Validates the folder at an absolute path.
  ///
  /// Throws `failedPrecondition`, the message starting with the damaged file's name. Blocks.
  package var inspect: @Sendable (_ folder: String) throws(DataError) -> ModelDescription

  /// An inspector from its function.
  package init(
    inspect: @escaping @Sendable (_ folder: String) throws(DataError) -> ModelDescription
  ) {
    self.inspect = inspect
  }

  /// The inspector of production: what it accepts, the tokenizer service can load, and inference can map.
  ///
  /// It reads every header and all JSON, and builds the tokenizer, but does not read the weights. Files may
  /// not change meanwhile (they are mapped): the registry hands it its own copy.
  package static let standard = ModelInspector(inspect: inspectModel)

  private static func inspectModel(_ folder: String) throws(DataError) -> ModelDescription {
    let model: ModelFolder
    do {
      model = try ModelFolder.validate(folder)
    } catch {
      throw DataError(.failedPrecondition, error.message, cause: error)
    }
    let tokenizer: Tokenizer
    do {
      tokenizer = try Tokenizer(folder: folder)
    } catch {
      // Only the file's name is known outside of the store.
      let message =
        error.message.hasPrefix("\(folder)/")
        ? String(error.message.dropFirst(folder.count + 1)) : error.message
      throw DataError(.failedPrecondition, message, cause: error)
    }
    let configuration = model.configuration
    guard tokenizer.vocabularySize <= configuration.vocabularySize else {
      throw DataError(
        .failedPrecondition,
        "tokenizer.json: \(tokenizer.vocabularySize) tokens, but config.json has vocab_size "
          + "\(configuration.vocabularySize)"
      )
    }
    return ModelDescription(
      task: configuration.task.rawValue,
      architecture: configuration.modelType,
      contextTokens: configuration.contextTokens
    )
  }
}
