"""gRPC's interop test service by grpcio on a free port: prints `port PORT`, ends with its input.

grpcio's server does not tell whether a request was compressed: `h2_server.py` checks that.
"""
import sys
import time
from concurrent import futures

import grpc

import interop_messages as m


def echo_metadata(context):
    for name, value in context.invocation_metadata():
        if name == m.INITIAL:
            context.send_initial_metadata([(name, value)])
        elif name == m.TRAILING:
            context.set_trailing_metadata([(name, value)])


def check_status(request, context):
    if request.response_status.code:
        code = next(x for x in grpc.StatusCode if x.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


def unary(request, context):
    echo_metadata(context)
    check_status(request, context)
    if request.response_compressed.value:
        context.set_compression(grpc.Compression.Gzip)
    return m.SimpleResponse(payload=m.zeros(request.response_size))


def cacheable(request, context):
    context.send_initial_metadata([("cache-control", "max-age=60, public")])
    return m.SimpleResponse(payload=m.zeros(request.response_size))


def answer(request, context):
    check_status(request, context)
    for parameters in request.response_parameters:
        time.sleep(parameters.interval_us / 1e6)
        if not parameters.compressed.value:
            context.disable_next_message_compression()
        yield m.StreamingOutputCallResponse(payload=m.zeros(parameters.size))


def output(request, context):
    if any(parameters.compressed.value for parameters in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    yield from answer(request, context)


def collect(requests, context):
    size = sum(len(request.payload.body) for request in requests)
    return m.StreamingInputCallResponse(aggregated_payload_size=size)


def duplex(requests, context):
    echo_metadata(context)
    for request in requests:
        yield from answer(request, context)


def handler(kind, function, request):
    make = getattr(grpc, kind + "_rpc_method_handler")
    return make(function, request.FromString, lambda x: x.SerializeToString())


handlers = {
    "EmptyCall": handler("unary_unary", lambda request, context: m.Empty(), m.Empty),
    "UnaryCall": handler("unary_unary", unary, m.SimpleRequest),
    "CacheableUnaryCall": handler("unary_unary", cacheable, m.SimpleRequest),
    "StreamingOutputCall": handler("unary_stream", output, m.StreamingOutputCallRequest),
    "StreamingInputCall": handler("stream_unary", collect, m.StreamingInputCallRequest),
    "FullDuplexCall": handler("stream_stream", duplex, m.StreamingOutputCallRequest),
}
server = grpc.server(
    futures.ThreadPoolExecutor(max_workers=32), options=[("grpc.so_reuseport", 0)])
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("grpc.testing.TestService", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("port", port, flush=True)
sys.stdin.read()
server.stop(None)
