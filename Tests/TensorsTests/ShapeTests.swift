import Tensors
import Testing

@Suite("Shapes")
struct ShapeTests {
  @Test("A shape knows its rows, columns and element count")
  func sizes() throws {
    let shape = try Shape([2, 3, 5])
    #expect(shape.elementCount == 30)
    #expect(shape.rows == 6)
    #expect(shape.columns == 5)
    #expect(shape.description == "[2,3,5]")
  }

  @Test(
    "Hostile dimensions are refused",
    arguments: [
      [], [0], [-1, 2], [Int.max, 2], [1 << 31, 1 << 31], [Int.min], [1, 1, 1, 1, 1, 1, 1, 1, 1],
    ]
  )
  func hostile(dimensions: [Int]) {
    #expect(throws: TensorError.self) { try Shape(dimensions) }
  }
}
