"""Serves the test service with grpcio on a free port and prints `port PORT`.

It ends when its standard input does. The methods take and give plain bytes; what a method does
depends on the request's text.
"""
import sys
import threading
from concurrent import futures

import grpc

same = lambda data: data
cancellations = 0
written = 0
changed = threading.Condition()
drained = threading.Event()


def wait_for_end(context):
    """Waits until the call is over; counts it when that was no regular end."""
    over = threading.Event()
    if context.add_callback(over.set):
        over.wait()
    global cancellations
    with changed:
        cancellations += 1
        changed.notify_all()


def unary(request, context):
    text = request[:200].decode(errors="replace")
    words = text.split(" ", 2)
    if words[0] == "metadata":
        entries = [(k, v) for k, v in context.invocation_metadata() if k in ("key", "blob-bin")]
        context.send_initial_metadata(entries)
        context.set_trailing_metadata(entries)
    elif words[0] == "status":
        code = next(code for code in grpc.StatusCode if code.value[0] == int(words[1]))
        context.abort(code, words[2])
    elif words[0] in ("flaky", "hesitant"):
        # Answers the attempt of a number; those before it fail or hang.
        previous = dict(context.invocation_metadata()).get("grpc-previous-rpc-attempts", "0")
        if int(previous) < int(words[1]):
            if words[0] == "hesitant":
                wait_for_end(context)
            if len(words) > 2:
                context.set_trailing_metadata([("grpc-retry-pushback-ms", words[2])])
            context.abort(grpc.StatusCode.UNAVAILABLE, f"attempt {previous}")
        return previous.encode()
    elif text == "wait":
        wait_for_end(context)
    elif text == "cancellations":
        return b"%d" % cancellations
    elif words[0] == "await":
        with changed:
            changed.wait_for(lambda: cancellations > int(words[2]))
            return b"%d" % cancellations
    elif text == "written":
        return b"%d" % written
    elif text == "deadline":
        left = context.time_remaining()
        return b"none" if left is None or left > 1e6 else b"%f" % left
    elif text == "timeout metadata":
        return str([k for k, _ in context.invocation_metadata()]).encode()
    elif text == "large metadata":
        context.set_trailing_metadata([("large", "x" * 10_000)] * 10)
    elif text == "large field":
        context.set_trailing_metadata([("large", "x" * 100_000)])
    elif text == "drain":
        threading.Thread(target=lambda: (server.stop(60), drained.set())).start()
    return request


def expand(request, context):
    global written
    if request == b"fail":
        yield b"f"
        context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")
    elif request == b"forever":
        yield b"first"
        wait_for_end(context)
    elif request == b"many":
        for _ in range(1000):
            yield bytes(16 * 1024)
            written += 1
    elif request == b"until drained":
        yield b"started"
        drained.wait()
        yield b"finished"
    else:
        for byte in request:
            yield bytes([byte])


def collect(requests, context):
    data = b""
    for request in requests:
        if request == b"early":
            return request
        data += request
    return data


def chat(requests, context):
    yield from requests


handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary, same, same),
    "Expand": grpc.unary_stream_rpc_method_handler(expand, same, same),
    "Collect": grpc.stream_unary_rpc_method_handler(collect, same, same),
    "Chat": grpc.stream_stream_rpc_method_handler(chat, same, same),
}
server = grpc.server(
    futures.ThreadPoolExecutor(max_workers=64),
    options=[("grpc.so_reuseport", 0)],
    compression=grpc.Compression.Gzip if "gzip" in sys.argv else None,
)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("test.Echo", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("port", port, flush=True)
sys.stdin.read()
server.stop(None)
