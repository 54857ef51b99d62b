import ProtoGen
import Testing

@Suite struct NamingTests {
  @Test(arguments: [
    ("llmos.tokenizer.v1", "TokenizerV1"), ("grpc.health.v1", "HealthV1"),
    ("grpc.reflection.v1alpha", "ReflectionV1alpha"), ("inference", "Inference"),
    ("some.data_sets.v2", "DataSetsV2"), ("vision.models", "Models"),
  ])
  func `a package becomes a namespace`(package: String, namespace: String) {
    #expect(SwiftName.namespace(package: package) == namespace)
  }

  @Test(arguments: [
    ("model", "model"), ("prompt_ids", "promptIDs"), ("id", "id"), ("ids", "ids"),
    ("image_url", "imageURL"), ("size_bytes", "sizeBytes"), ("sha256", "sha256"),
    ("default", "`default`"), ("self", "self_"), ("camelCase", "camelCase"),
    ("HTTPCode", "httpCode"),
  ])
  func `a field becomes a property`(field: String, property: String) {
    #expect(SwiftName.member(field) == property)
  }

  @Test(arguments: [
    ("FINISH_REASON_STOP", "FinishReason", "stop"), ("NOT_SERVING", "ServingStatus", "notServing"),
    ("AGGREGATION_STRATEGY_DEFAULT", "AggregationStrategy", "`default`"),
    ("SIZE_2_BYTES", "Size", "size2Bytes"),
  ])
  func `an enum value loses the name of its enum`(value: String, of name: String, constant: String)
  {
    #expect(SwiftName.enumValue(value, of: name) == constant)
  }

  @Test(arguments: [("RenderChat", "renderChat"), ("ABTest", "abTest"), ("Import", "`import`")])
  func `a method starts in lower case`(method: String, function: String) {
    #expect(SwiftName.method(method) == function)
  }

  @Test func `a message named as a type the generated code uses gets another name`() {
    #expect(SwiftName.type("String") == "StringMessage")
    #expect(SwiftName.type("Encoding") == "Encoding")
  }

  @Test func `C names are those of the C generator`() {
    #expect(
      CName.type(".llmos.tokenizer.v1.EncodeRequest") == "Llmos__Tokenizer__V1__EncodeRequest"
    )
    #expect(
      CName.symbol(".llmos.tokenizer.v1.EncodeRequest") == "llmos__tokenizer__v1__encode_request"
    )
    #expect(CName.symbol(".a.HTTPServer") == "a__httpserver")
    #expect(CName.field("class") == "class_")
    #expect(CName.field("camelCase") == "camelcase")
    #expect(CName.count("int") == "n_int_")
    #expect(CName.oneofCase("topP") == "top_p_case")
  }
}
