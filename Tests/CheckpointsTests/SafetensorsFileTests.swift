import Foundation
import Testing

@testable import Checkpoints

@Suite("Safetensors files")
struct SafetensorsFileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A file of the header's text and `dataBytes` bytes 0, 1, 2, ….
  private func file(_ header: String, dataBytes: Int, length: UInt64? = nil) throws -> String {
    var bytes: [UInt8] = []
    let count = (length ?? UInt64(header.utf8.count)).littleEndian
    withUnsafeBytes(of: count) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: header.utf8)
    bytes.append(contentsOf: (0..<dataBytes).map { UInt8(truncatingIfNeeded: $0) })
    return try folder.write("model.safetensors", bytes)
  }

  /// The message of the error that opening such a file throws.
  private func fault(_ header: String, dataBytes: Int, length: UInt64? = nil) throws -> String {
    let path = try file(header, dataBytes: dataBytes, length: length)
    let error = #expect(throws: CheckpointError.self) { try SafetensorsFile(path: path) }
    #expect(error?.file == "model.safetensors")
    return error?.message ?? ""
  }

  @Test("tensors are read with dtype, shape and bytes, and outlive the file object")
  func reads() throws {
    let path = try file(
      #"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[6,14]},"#
        + #""a":{"dtype":"BF16","shape":[1,3],"data_offsets":[0,6]},"#
        + #""empty":{"dtype":"I64","shape":[0,5],"data_offsets":[6,6]},"#
        + #""scalar":{"dtype":"U8","shape":[],"data_offsets":[14,15]}}   "#,
      dataBytes: 15
    )
    var opened: SafetensorsFile? = try SafetensorsFile(path: path)
    let file = try #require(opened)
    #expect(file.tensorNames == ["b", "a", "empty", "scalar"])
    let a = try file.tensor(named: "a")
    #expect(a.elementType == .bfloat16 && a.shape == [1, 3] && a.elementCount == 3)
    #expect(try Array(file.tensor(named: "b").bytes) == Array(6..<14))
    #expect(try file.tensor(named: "empty").bytes.isEmpty)
    #expect(try Array(file.tensor(named: "scalar").bytes) == [14])
    let missing = #expect(throws: CheckpointError.self) { try file.tensor(named: "c") }
    #expect(missing?.code == .missingTensor)
    opened = nil
    #expect(Array(a.bytes) == Array(0..<6))
  }

  @Test("header lengths beyond the file are refused")
  func headerLength() throws {
    #expect(try fault("{}", dataBytes: 0, length: 3).contains("claims 3 bytes"))
    #expect(try fault("{}", dataBytes: 0, length: .max).contains("claims"))
    #expect(try fault("{}", dataBytes: 0, length: UInt64(Int.max) + 1).contains("claims"))
    for count in 0..<8 {
      let path = try folder.write("model.safetensors", [UInt8](repeating: 0, count: count))
      let error = #expect(throws: CheckpointError.self) { try SafetensorsFile(path: path) }
      #expect(error?.message.contains("\(count) bytes") == true)
    }
    let path = try folder.write("model.safetensors", [UInt8](repeating: 0, count: 8))
    #expect(throws: CheckpointError.self) { try SafetensorsFile(path: path) }
  }

  @Test(
    "hostile headers are refused with the tensor and the values",
    arguments: [
      (#"[]"#, "not an object"),
      (#"{"a":1}"#, "tensor \"a\" is not described"),
      (#"{"a":{"shape":[4],"data_offsets":[0,4]}}"#, "tensor \"a\" has no dtype"),
      (#"{"a":{"dtype":"Q4","shape":[4],"data_offsets":[0,4]}}"#, "unknown dtype \"Q4\""),
      (#"{"a":{"dtype":"U8","data_offsets":[0,4]}}"#, "tensor \"a\" has no shape"),
      (#"{"a":{"dtype":"U8","shape":[4]}}"#, "tensor \"a\" has no data_offsets"),
      (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,8]}}"#, "3 data_offsets"),
      (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}"#, "[4, 0] outside"),
      (#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#, "[0, 9] outside the 4 bytes"),
      (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[-1,3]}}"#, "-1 in its data_offsets"),
      (#"{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}"#, "4.0 in its shape"),
      (
        #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,99999999999999999999]}}"#,
        "1e+20 in its data_offsets"
      ),
      (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, "shape [2] needs 8 bytes"),
      (
        #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#,
        "size overflows"
      ),
      (
        #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"#
          + #""a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, "the key \"a\" is there twice"
      ),
      (
        #"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"#
          + #""b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
        "tensor \"b\" at [2, 4] overlaps"
      ),
      (
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
          + #""b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#, "leaves a gap"
      ),
      (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, "end at byte 2"),
      (#"{"__metadata__":{"format":1}}"#, "member \"format\" is not a string"),
    ]
  )
  func hostile(header: String, message: String) throws {
    let fault = try fault(header, dataBytes: 4)
    #expect(fault.hasPrefix("model.safetensors: ") && fault.contains(message), "\(fault)")
  }

  @Test("deep nesting and too many dimensions are refused")
  func depth() throws {
    let deep = String(repeating: "[", count: 100_000)
    #expect(try fault("{\"a\":\(deep)", dataBytes: 0).contains("nested deeper"))
    let shape = [String](repeating: "1", count: 17).joined(separator: ",")
    let header = #"{"a":{"dtype":"U8","shape":[\#(shape)],"data_offsets":[0,1]}}"#
    #expect(try fault(header, dataBytes: 1).contains("17 dimensions"))
  }

  @Test("folders, missing files and pipes are refused without waiting")
  func unreadable() throws {
    let missing = #expect(throws: CheckpointError.self) {
      try SafetensorsFile(path: folder.path + "/absent.safetensors")
    }
    #expect(missing?.code == .notFound && missing?.file == "absent.safetensors")
    let directory = #expect(throws: CheckpointError.self) {
      try SafetensorsFile(path: folder.path)
    }
    #expect(directory?.code == .unreadable)
    let pipe = folder.path + "/pipe.safetensors"
    try #require(mkfifo(pipe, 0o600) == 0)
    let refused = #expect(throws: CheckpointError.self) { try SafetensorsFile(path: pipe) }
    #expect(refused?.code == .unreadable && refused?.file == "pipe.safetensors")
  }

  @Test("names are told apart by their bytes, in time linear in their length")
  func names() throws {
    let marks = String(repeating: "\u{301}\u{323}", count: 100_000)
    let header =
      #"{"\u212b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
      + #""\u00c5":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"#
      + #""a\#(marks)":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#
    let opened = try SafetensorsFile(path: try file(header, dataBytes: 3))
    #expect(try Array(opened.tensor(named: "\u{C5}").bytes) == [1])
    #expect(try Array(opened.tensor(named: "\u{212B}").bytes) == [0])
    let type = #"{"a":{"dtype":"U\#(marks)","shape":[1],"data_offsets":[0,1]}}"#
    #expect(try fault(type, dataBytes: 1).utf8.count < 500)
  }

  @Test("any single byte of a header changed is either refused or harmless")
  func mutations() throws {
    let header = #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    var bytes: [UInt8] = []
    withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: Array(header.utf8) + [1, 2, 3, 4])
    for index in 0..<bytes.count - 4 {
      for value: UInt8 in [0, 0x22, 0x2D, 0x30, 0x39, 0x5B, 0x7B, 0x80, 0xFF] {
        var changed = bytes
        changed[index] = value
        let path = try folder.write("m.safetensors", changed)
        guard let file = try? SafetensorsFile(path: path) else { continue }
        for name in file.tensorNames {
          let tensor = try file.tensor(named: name)
          #expect(tensor.bytes.count == tensor.elementCount * tensor.elementType.byteCount)
          #expect(tensor.bytes.count <= 4)
        }
      }
    }
  }
}
