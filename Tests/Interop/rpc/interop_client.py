"""gRPC's interop cases without credentials, by grpcio's client: prints `ok NAME` or `fail NAME WHY`.

Usage: interop_client.py PORT
"""
import concurrent.futures
import sys
import time

import grpc

import interop_messages as m
from interop_messages import REQUEST_SIZES, RESPONSE_SIZES, SERVICE, zeros

GZIP = grpc.Compression.Gzip


class Stub:
    def __init__(self, channel):
        def method(kind, path, response):
            return getattr(channel, kind)(
                path, lambda x: x.SerializeToString(), response.FromString)

        self.empty = method("unary_unary", SERVICE + "EmptyCall", m.Empty)
        self.unary = method("unary_unary", SERVICE + "UnaryCall", m.SimpleResponse)
        self.cacheable = method("unary_unary", SERVICE + "CacheableUnaryCall", m.SimpleResponse)
        self.output = method(
            "unary_stream", SERVICE + "StreamingOutputCall", m.StreamingOutputCallResponse)
        self.input = method(
            "stream_unary", SERVICE + "StreamingInputCall", m.StreamingInputCallResponse)
        self.duplex = method(
            "stream_stream", SERVICE + "FullDuplexCall", m.StreamingOutputCallResponse)
        self.absent = method("unary_unary", SERVICE + "UnimplementedCall", m.Empty)
        self.absent_service = method(
            "unary_unary", "/grpc.testing.UnimplementedService/UnimplementedCall", m.Empty)


def equal(left, right):
    assert left == right, f"{str(left)[:200]} is not {str(right)[:200]}"


def problem(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def large(**fields):
    return m.SimpleRequest(response_size=314159, payload=zeros(271828), **fields)


def check_large(response):
    equal(response.payload.body, bytes(314159))


def output(sizes, request=None):
    parameters = [m.ResponseParameters(size=size) for size in sizes]
    payload = None if request is None else zeros(request)
    return m.StreamingOutputCallRequest(response_parameters=parameters, payload=payload)


def empty_unary(stub, port):
    equal(stub.empty(m.Empty()), m.Empty())


def cacheable_unary(stub, port):
    request = m.SimpleRequest(payload=m.Payload(body=str(time.time_ns()).encode()))
    _, call = stub.cacheable.with_call(request, metadata=[("x-user-ip", "1.2.3.4")])
    equal(dict(call.initial_metadata())["cache-control"], "max-age=60, public")


def large_unary(stub, port):
    check_large(stub.unary(large()))


def client_compressed_unary(stub, port):
    yes, no = m.BoolValue(value=True), m.BoolValue(value=False)
    error = problem(lambda: stub.unary(large(expect_compressed=yes)))
    equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    check_large(stub.unary(large(expect_compressed=yes), compression=GZIP))
    check_large(stub.unary(large(expect_compressed=no)))


def server_compressed_unary(stub, port):
    # Whether it was compressed is seen by the raw client, h2_client.py.
    for value in (True, False):
        check_large(stub.unary(large(response_compressed=m.BoolValue(value=value))))


def client_streaming(stub, port):
    requests = (m.StreamingInputCallRequest(payload=zeros(size)) for size in REQUEST_SIZES)
    equal(stub.input(requests).aggregated_payload_size, 74922)


def client_compressed_streaming(stub, port):
    def message(size, compressed):
        return m.StreamingInputCallRequest(
            payload=zeros(size), expect_compressed=m.BoolValue(value=compressed))

    error = problem(lambda: stub.input(iter([message(27182, True)])))
    equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    # grpcio compresses every message of a call or none: the mix is seen by the raw client.
    equal(stub.input(iter([message(27182, True)] * 2), compression=GZIP).aggregated_payload_size,
          2 * 27182)
    equal(stub.input(iter([message(45904, False)])).aggregated_payload_size, 45904)


def server_streaming(stub, port):
    equal([len(x.payload.body) for x in stub.output(output(RESPONSE_SIZES))], list(RESPONSE_SIZES))


def server_compressed_streaming(stub, port):
    request = m.StreamingOutputCallRequest(response_parameters=[
        m.ResponseParameters(size=31415, compressed=m.BoolValue(value=True)),
        m.ResponseParameters(size=92653, compressed=m.BoolValue(value=False))])
    equal([len(x.payload.body) for x in stub.output(request)], [31415, 92653])


def ping_pong(stub, port):
    pairs = list(zip(REQUEST_SIZES, RESPONSE_SIZES))
    received = []

    def requests():
        for index, (request, response) in enumerate(pairs):
            while len(received) < index:
                time.sleep(0.001)
            yield output([response], request)

    for response in stub.duplex(requests()):
        received.append(len(response.payload.body))
    equal(received, list(RESPONSE_SIZES))


def empty_stream(stub, port):
    equal(list(stub.duplex(iter([]))), [])


def custom_metadata(stub, port):
    sent = [(m.INITIAL, "test_initial_metadata_value"), (m.TRAILING, b"\xab\xab\xab")]

    def check(call):
        equal(dict(call.initial_metadata())[m.INITIAL], "test_initial_metadata_value")
        equal(dict(call.trailing_metadata())[m.TRAILING], b"\xab\xab\xab")

    _, call = stub.unary.with_call(large(), metadata=sent)
    check(call)
    call = stub.duplex(iter([output([314159], 271828)]), metadata=sent)
    equal(len(list(call)), 1)
    check(call)


def echo_status(stub, code, text):
    status = m.EchoStatus(code=code, message=text)
    unary = m.SimpleRequest(response_status=status)
    duplex = m.StreamingOutputCallRequest(response_status=status)
    return [problem(lambda: stub.unary(unary)), problem(lambda: list(stub.duplex(iter([duplex]))))]


def status_code_and_message(stub, port):
    for error in echo_status(stub, 2, "test status message"):
        equal(error.code(), grpc.StatusCode.UNKNOWN)
        equal(error.details(), "test status message")


def special_status_message(stub, port):
    for error in echo_status(stub, 2, m.SPECIAL):
        equal(error.code(), grpc.StatusCode.UNKNOWN)
        equal(error.details(), m.SPECIAL)


def unimplemented_method(stub, port):
    equal(problem(lambda: stub.absent(m.Empty())).code(), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(stub, port):
    equal(problem(lambda: stub.absent_service(m.Empty())).code(), grpc.StatusCode.UNIMPLEMENTED)


def cancel_after_begin(stub, port):
    def requests():
        time.sleep(60)
        yield None

    future = stub.input.future(requests())
    future.cancel()
    equal(future.code(), grpc.StatusCode.CANCELLED)


def cancel_after_first_response(stub, port):
    ended = concurrent.futures.Future()

    def requests():
        yield output([31415], 27182)
        ended.result()

    call = stub.duplex(requests())
    equal(len(next(call).payload.body), 31415)
    call.cancel()
    equal(problem(lambda: next(call)).code(), grpc.StatusCode.CANCELLED)
    ended.set_result(None)


def timeout_on_sleeping_server(stub, port):
    request = m.StreamingOutputCallRequest(
        payload=zeros(27182),
        response_parameters=[m.ResponseParameters(size=31415, interval_us=20_000_000)])
    error = problem(lambda: list(stub.duplex(iter([request]), timeout=0.001)))
    equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    # And once the call has surely reached the server.
    error = problem(lambda: list(stub.duplex(iter([request]), timeout=0.3)))
    equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)


def concurrent_large_unary(stub, port):
    futures = [stub.unary.future(large()) for _ in range(100)]
    for future in futures:
        check_large(future.result())


def rpc_soak(stub, port):
    for _ in range(100):
        check_large(stub.unary(large(), timeout=10))


def channel_soak(stub, port):
    for _ in range(30):
        # Else grpcio would share one connection among all of them.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            check_large(Stub(channel).unary(large(), timeout=10))


CASES = [
    empty_unary, cacheable_unary, large_unary, client_compressed_unary, server_compressed_unary,
    client_streaming, client_compressed_streaming, server_streaming, server_compressed_streaming,
    ping_pong, empty_stream, custom_metadata, status_code_and_message, special_status_message,
    unimplemented_method, unimplemented_service, cancel_after_begin, cancel_after_first_response,
    timeout_on_sleeping_server, concurrent_large_unary, rpc_soak, channel_soak,
]


def main():
    port = sys.argv[1]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)
        for case in CASES:
            try:
                case(stub, port)
                print("ok", case.__name__, flush=True)
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                print("fail", case.__name__, text[:500], flush=True)


main()
