/// The type of a tensor's elements.
package enum DType: String, Sendable, Hashable {
  case float32 = "f32"
  /// Token ids and positions.
  case uint32 = "u32"

  /// Bytes of one element.
  package var byteCount: Int { 4 }
}

/// The sizes of a tensor's dimensions, outermost first; row-major and dense.
package struct Shape: Sendable, Hashable, CustomStringConvertible {
  /// The most dimensions a shape may have.
  package static let rankMax = 8

  /// Outermost first; each at least 1.
  package let dimensions: [Int]
  /// The product of the dimensions; times 8 it still fits an `Int`.
  package let elementCount: Int

  /// Makes a shape.
  ///
  /// Throws `invalidArgument` for a dimension below 1, a rank outside `1...rankMax` or a product
  /// that overflows.
  package init(_ dimensions: [Int]) throws(TensorError) {
    guard (1...Shape.rankMax).contains(dimensions.count) else {
      throw TensorError(
        .invalidArgument,
        "shape: rank \(dimensions.count) is not in 1...\(Shape.rankMax)"
      )
    }
    var product = 1
    for dimension in dimensions {
      let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
      guard dimension >= 1, !overflow, next <= Int.max / 8 else {
        throw TensorError(.invalidArgument, "shape: \(dimensions) is not a valid shape")
      }
      product = next
    }
    self.dimensions = dimensions
    elementCount = product
  }

  /// The number of dimensions.
  package var rank: Int { dimensions.count }
  /// The size of the last dimension.
  package var columns: Int { dimensions[dimensions.count - 1] }
  /// The product of all dimensions but the last.
  package var rows: Int { elementCount / columns }

  package subscript(_ index: Int) -> Int { dimensions[index] }

  /// For example `[2,3]`.
  package var description: String {
    "[" + dimensions.map { String($0) }.joined(separator: ",") + "]"
  }
}
