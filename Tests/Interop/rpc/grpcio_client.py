"""Calls the test server with grpcio and prints one line per case: `ok NAME` or `fail NAME WHY`.

Usage: grpcio_client.py PORT
The methods take and give plain bytes; what a method does depends on the request's text.
"""
import json
import sys
import threading

import grpc

SERVICE = "/test.Echo/"
same = lambda data: data


class Calls:
    def __init__(self, channel):
        self.unary = channel.unary_unary(SERVICE + "Unary", same, same)
        self.expand = channel.unary_stream(SERVICE + "Expand", same, same)
        self.collect = channel.stream_unary(SERVICE + "Collect", same, same)
        self.chat = channel.stream_stream(SERVICE + "Chat", same, same)


def error(call):
    try:
        result = call()
        if not isinstance(result, bytes):
            list(result)
    except grpc.RpcError as problem:
        return problem
    raise AssertionError("the call succeeded")


def equal(left, right):
    assert left == right, f"{left!r} is not {right!r}"


def unary(calls, channel):
    equal(calls.unary(b"hello"), b"hello")
    equal(calls.unary(b""), b"")


def server_streaming(calls, channel):
    equal(list(calls.expand(b"abc")), [b"a", b"b", b"c"])
    equal(list(calls.expand(b"")), [])


def client_streaming(calls, channel):
    equal(calls.collect(iter([b"a", b"", b"bc"])), b"abc")
    equal(calls.collect(iter([])), b"")


def bidirectional(calls, channel):
    gate = threading.Semaphore(1)

    def requests():
        for text in (b"1", b"22", b"333"):
            gate.acquire()
            yield text

    seen = []
    for response in calls.chat(requests()):
        seen.append(response)
        gate.release()
    equal(seen, [b"1", b"22", b"333"])


def metadata(calls, channel):
    sent = [("key", "1"), ("blob-bin", bytes(range(256))), ("key", "2"), ("blob-bin", b"")]
    _, call = calls.unary.with_call(b"metadata", metadata=sent)
    for got in (call.initial_metadata(), call.trailing_metadata()):
        got = [(k, v) for k, v in got if k in ("key", "blob-bin")]
        equal([v for k, v in got if k == "key"], ["1", "2"])
        equal([v for k, v in got if k == "blob-bin"], [bytes(range(256)), b""])


def status_and_message(calls, channel):
    for code in list(grpc.StatusCode)[1:]:
        text = f"status {code.value[0]} größer 100% \U0001f600\r\n\ttext"
        problem = error(lambda: calls.unary(text.encode()))
        equal(problem.code(), code)
        equal(problem.details(), text.split(" ", 2)[2])


def status_after_messages(calls, channel):
    responses = calls.expand(b"fail")
    equal(next(responses), b"f")
    problem = error(lambda: responses)
    equal(problem.code(), grpc.StatusCode.DATA_LOSS)


def unknown_method(calls, channel):
    for path in (SERVICE + "Absent", "/test.Absent/Unary"):
        problem = error(lambda: channel.unary_unary(path, same, same)(b""))
        equal(problem.code(), grpc.StatusCode.UNIMPLEMENTED)


def deadline(calls, channel):
    before = calls.unary(b"cancellations")
    problem = error(lambda: calls.unary(b"wait", timeout=0.3))
    equal(problem.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    equal(int(calls.unary(b"await cancellation " + before)) > int(before), True)
    left = float(calls.unary(b"deadline", timeout=50))
    # grpcio rounds its timeouts up.
    assert 40 < left <= 51, left
    equal(calls.unary(b"deadline"), b"none")


def cancellation(calls, channel):
    before = calls.unary(b"cancellations")
    responses = calls.expand(b"forever")
    next(responses)
    responses.cancel()
    equal(error(lambda: responses).code(), grpc.StatusCode.CANCELLED)
    equal(int(calls.unary(b"await cancellation " + before)) > int(before), True)
    before = calls.unary(b"cancellations")
    future = calls.unary.future(b"wait")
    calls.unary(b"await waiting")
    future.cancel()
    equal(int(calls.unary(b"await cancellation " + before)) > int(before), True)


def large_messages(calls, channel):
    data = bytes(2 * 1024 * 1024)
    equal(calls.unary(data), data)
    equal(calls.collect(iter([data[: 1024 * 1024]] * 2)), data)
    equal(list(calls.chat(iter([data] * 3))), [data] * 3)


def slow_reader(calls, channel):
    responses = calls.expand(b"many")
    count = len(next(responses)) and 1
    for _ in range(30):
        written = int(calls.unary(b"written"))
    assert written < 100, f"{written} messages were written to a reader that does not read"
    count += sum(1 for _ in responses)
    equal(count, 1000)
    equal(int(calls.unary(b"written")), 1000)


def limit(calls, channel):
    problem = error(lambda: calls.unary(bytes(4 * 1024 * 1024 + 1)))
    equal(problem.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
    equal(len(calls.unary(bytes(4 * 1024 * 1024 - 100))), 4 * 1024 * 1024 - 100)


def large_metadata(calls, channel):
    problem = error(lambda: calls.unary(b"", metadata=[("large", "x" * 10_000)] * 10))
    equal(problem.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
    # One field above 64 KiB costs the connection.
    problem = error(lambda: calls.unary(b"", metadata=[("large", "x" * 100_000)]))
    equal(problem.code(), grpc.StatusCode.UNAVAILABLE)
    equal(calls.unary(b"", metadata=[("large", "x" * 60_000)]), b"")


def compression(calls, channel):
    data = b"x" * 10_000
    equal(calls.unary(data, compression=grpc.Compression.Gzip), data)
    problem = error(lambda: calls.unary(data, compression=grpc.Compression.Deflate))
    equal(problem.code(), grpc.StatusCode.UNIMPLEMENTED)
    # Inflates to more than the server receives.
    problem = error(lambda: calls.unary(bytes(5 * 1024 * 1024), compression=grpc.Compression.Gzip))
    equal(problem.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
    equal(calls.unary(b"x"), b"x")


def early_response(calls, channel):
    def requests():
        yield b"early"
        threading.Event().wait()

    equal(calls.collect(requests()), b"early")


def concurrent(calls, channel):
    futures = [calls.unary.future(b"%d" % index) for index in range(500)]
    equal([future.result() for future in futures], [b"%d" % index for index in range(500)])


def retries(calls, channel):
    policy = {
        "maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.05s",
        "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = {"methodConfig": [{"name": [{"service": "test.Echo"}], "retryPolicy": policy}]}
    options = [("grpc.enable_retries", 1), ("grpc.service_config", json.dumps(config))]
    with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}", options=options) as retrying:
        unary = Calls(retrying).unary
        equal(unary(b"flaky 3"), b"3")
        equal(error(lambda: unary(b"flaky 4")).details(), "attempt 3")
        # The server says when to come again, or not to.
        equal(unary(b"flaky 2 1"), b"2")
        equal(error(lambda: unary(b"flaky 2 -1")).details(), "attempt 0")


def drain(calls, channel):
    responses = calls.expand(b"until drained")
    equal(next(responses), b"started")
    calls.unary(b"drain")
    equal(list(responses), [b"finished"])
    for _ in range(1000):
        problem = None
        try:
            calls.unary(b"x", timeout=5)
        except grpc.RpcError as caught:
            problem = caught
            break
    equal(problem.code(), grpc.StatusCode.UNAVAILABLE)


CASES = [
    unary, server_streaming, client_streaming, bidirectional, metadata, status_and_message,
    status_after_messages, unknown_method, deadline, cancellation, large_messages, slow_reader,
    limit, large_metadata, compression, early_response, concurrent, retries, drain,
]


def main():
    options = [
        ("grpc.max_receive_message_length", -1),
        # Else the client widens its windows by itself, up to 16 MiB.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_metadata_size", 70_000),
        ("grpc.absolute_max_metadata_size", 80_000),
    ]
    channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}", options=options)
    calls = Calls(channel)
    for case in CASES:
        try:
            case(calls, channel)
            print("ok", case.__name__, flush=True)
        except Exception as problem:
            text = " ".join(f"{type(problem).__name__}: {problem}".split())
            print("fail", case.__name__, text, flush=True)


main()
