internal import CKernels
package import Checkpoints
internal import Tensors

extension TrainableModel {
  /// Elements that are converted at once.
  private static let pieceElements = 1 << 18

  /// Writes `model.safetensors`, with the weights as f32 or rounded to bf16 (to nearest, ties to
  /// even), and `config.json` into `folder`, which exists; each file appears whole or not at all.
  ///
  /// transformers loads the result. The caller adds the tokenizer's files.
  ///
  /// Throws `unsupported` for another element type, `invalidModel` when a file cannot be written.
  package func save(folder: String, elementType: StoredElementType) throws(ModelError) {
    guard elementType == .bfloat16 || elementType == .float32 else {
      throw ModelError(
        .unsupported,
        "save: element type \(elementType.rawValue) (BF16 and F32 are supported)"
      )
    }
    var description = document
    description.setElementType(elementType)
    let byName = Dictionary(
      parameters.map { ($0.name, $0) },
      uniquingKeysWith: { first, _ in first }
    )
    var piece = [UInt16](repeating: 0, count: TrainableModel.pieceElements)
    do throws(CheckpointError) {
      try SafetensorsWriter.write(
        path: "\(folder)/model.safetensors",
        tensors: parameters.map {
          TensorDescription(
            name: $0.name,
            elementType: elementType,
            shape: $0.tensor.shape.dimensions
          )
        }
      ) { tensor, write throws(CheckpointError) in
        guard let values = byName[tensor.name]?.values else { return }
        var start = 0
        while start < values.count {
          let end = min(start + TrainableModel.pieceElements, values.count)
          let part = UnsafeMutableBufferPointer(rebasing: values[start..<end])
          if elementType == .float32 {
            try write(UnsafeRawBufferPointer(part))
          } else if let source = part.baseAddress {
            ck_convert_f32_bf16(&piece, source, part.count)
            let result = piece.withUnsafeBytes { bytes in
              Result { () throws(CheckpointError) in
                try write(UnsafeRawBufferPointer(rebasing: bytes[..<(2 * part.count)]))
              }
            }
            try result.get()
          }
          start = end
        }
      }
      try description.write(folder: folder)
    } catch {
      throw ModelError(error)
    }
  }
}
