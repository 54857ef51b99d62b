"""The compressed interop cases on the wire, by a client on `h2`: prints `ok NAME` or `fail NAME WHY`.

Usage: h2_client.py PORT
It sees what gRPC clients hide: the flag of each message and the encoding's headers.
"""
import socket
import sys

import h2.events

import interop_messages as m
from h2_wire import Connection, frame, messages, zeros

YES, NO = m.BoolValue(value=True), m.BoolValue(value=False)


def equal(left, right):
    assert left == right, f"{str(left)[:200]} is not {str(right)[:200]}"


class Reply:
    def __init__(self):
        self.head, self.end, self.body, self.reset = {}, {}, b"", None

    @property
    def status(self):
        return (self.end or self.head).get("grpc-status")


def call(port, method, body, **headers):
    connection = Connection(socket.create_connection(("127.0.0.1", port), 10), True)
    fields = [
        (":method", "POST"), (":scheme", "http"), (":path", m.SERVICE + method),
        (":authority", "test"), ("te", "trailers"), ("content-type", "application/grpc"),
    ] + [(name.replace("_", "-"), value) for name, value in headers.items()]
    stream = connection.h2.get_next_available_stream_id()
    connection.h2.send_headers(stream, fields)
    reply = Reply()
    events = connection.send(stream, body, end=True)
    while events is not None:
        for event in events:
            if isinstance(event, h2.events.ResponseReceived):
                reply.head = dict(event.headers)
            elif isinstance(event, h2.events.TrailersReceived):
                reply.end = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                reply.body += event.data
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                connection.sock.close()
                return reply
        events = connection.events()
    raise ConnectionError("the server closed the connection")


def large(**fields):
    return m.SimpleRequest(response_size=314159, payload=zeros(271828), **fields)


def client_compressed_unary(port):
    gzip = {"grpc_encoding": "gzip"}
    equal(call(port, "UnaryCall", frame(large(expect_compressed=YES)), **gzip).status, "3")
    for compressed, expected in ((True, YES), (False, NO)):
        reply = call(port, "UnaryCall", frame(large(expect_compressed=expected), compressed), **gzip)
        equal(reply.status, "0")
        [(flag, data)] = messages(reply.body)
        equal(flag, 0)
        equal(m.SimpleResponse.FromString(data).payload.body, bytes(314159))


def server_compressed_unary(port):
    for accepted in ("gzip", "identity,deflate,gzip", "identity", None):
        headers = {"grpc_accept_encoding": accepted} if accepted else {}
        for wanted in (YES, NO):
            reply = call(port, "UnaryCall", frame(large(response_compressed=wanted)), **headers)
            equal(reply.status, "0")
            [(flag, data)] = messages(reply.body)
            compressed = wanted.value and "gzip" in (accepted or "")
            equal(flag, int(compressed))
            equal(reply.head.get("grpc-encoding"), "gzip" if compressed else None)
            equal(m.SimpleResponse.FromString(data).payload.body, bytes(314159))


def client_compressed_streaming(port):
    def message(size, expected, compressed):
        return frame(
            m.StreamingInputCallRequest(payload=zeros(size), expect_compressed=expected), compressed)

    gzip = {"grpc_encoding": "gzip"}
    equal(call(port, "StreamingInputCall", message(27182, YES, False), **gzip).status, "3")
    body = message(27182, YES, True) + message(45904, NO, False)
    reply = call(port, "StreamingInputCall", body, **gzip)
    equal(reply.status, "0")
    [(_, data)] = messages(reply.body)
    equal(m.StreamingInputCallResponse.FromString(data).aggregated_payload_size, 73086)


def server_compressed_streaming(port):
    request = m.StreamingOutputCallRequest(response_parameters=[
        m.ResponseParameters(size=31415, compressed=YES),
        m.ResponseParameters(size=92653, compressed=NO)])
    reply = call(port, "StreamingOutputCall", frame(request), grpc_accept_encoding="gzip")
    equal(reply.status, "0")
    equal(reply.head["grpc-encoding"], "gzip")
    seen = messages(reply.body)
    equal([flag for flag, _ in seen], [1, 0])
    equal([len(m.StreamingOutputCallResponse.FromString(data).payload.body) for _, data in seen],
          [31415, 92653])


def unknown_encoding(port):
    reply = call(port, "UnaryCall", frame(large()), grpc_encoding="br")
    equal(reply.status, "12")
    equal(sorted(reply.head["grpc-accept-encoding"].split(",")), ["gzip", "identity"])


def flag_without_encoding(port):
    equal(call(port, "UnaryCall", frame(large(), True)).status, "13")
    equal(call(port, "UnaryCall", frame(large(), True), grpc_encoding="identity").status, "13")


def zip_bomb(port):
    equal(call(port, "UnaryCall", frame(bytes(64 << 20), True), grpc_encoding="gzip").status, "8")


CASES = [
    client_compressed_unary, server_compressed_unary, client_compressed_streaming,
    server_compressed_streaming, unknown_encoding, flag_without_encoding, zip_bomb,
]


def main():
    for case in CASES:
        try:
            case(int(sys.argv[1]))
            print("ok", case.__name__, flush=True)
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print("fail", case.__name__, text[:500], flush=True)


main()
