"""The messages of gRPC's TestService (grpc/testing/messages.proto), as far as the cases need them."""
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_BOOL, _BYTES, _INT32, _STRING = 8, 12, 5, 9
_FIELDS = {
    "Empty": [],
    "BoolValue": [("value", 1, _BOOL)],
    "Payload": [("type", 1, _INT32), ("body", 2, _BYTES)],
    "EchoStatus": [("code", 1, _INT32), ("message", 2, _STRING)],
    "SimpleRequest": [
        ("response_type", 1, _INT32), ("response_size", 2, _INT32), ("payload", 3, "Payload"),
        ("response_compressed", 6, "BoolValue"), ("response_status", 7, "EchoStatus"),
        ("expect_compressed", 8, "BoolValue")],
    "SimpleResponse": [("payload", 1, "Payload")],
    "StreamingInputCallRequest": [("payload", 1, "Payload"), ("expect_compressed", 2, "BoolValue")],
    "StreamingInputCallResponse": [("aggregated_payload_size", 1, _INT32)],
    "ResponseParameters": [
        ("size", 1, _INT32), ("interval_us", 2, _INT32), ("compressed", 3, "BoolValue")],
    "StreamingOutputCallRequest": [
        ("response_type", 1, _INT32), ("response_parameters", 2, "*ResponseParameters"),
        ("payload", 3, "Payload"), ("response_status", 7, "EchoStatus")],
    "StreamingOutputCallResponse": [("payload", 1, "Payload")],
}


def _make():
    file = descriptor_pb2.FileDescriptorProto(
        name="interop.proto", package="grpc.testing", syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            entry = message.field.add(name=field, number=number, label=1)
            if isinstance(kind, int):
                entry.type = kind
            else:
                entry.type = 11
                entry.label = 3 if kind[0] == "*" else 1
                entry.type_name = ".grpc.testing." + kind.lstrip("*")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName("grpc.testing." + name))
        for name in _FIELDS
    }


globals().update(_make())

SERVICE = "/grpc.testing.TestService/"
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
REQUEST_SIZES, RESPONSE_SIZES = (27182, 8, 1828, 45904), (31415, 9, 2653, 58979)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP \U0001f608\t\n"


def zeros(size):
    return Payload(body=bytes(size))  # noqa: F821
