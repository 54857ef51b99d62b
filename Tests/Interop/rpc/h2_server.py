"""A server on `h2` that misbehaves by plan, or checks what clients hide.

Usage: h2_server.py CASE. Prints `port PORT`, then `ok CASE` or `fail CASE WHY` once it has seen what
the case is about; ends with its input. The cases are gRPC's (negative-http2-interop-test-
descriptions.md); `compression` is a server that checks the flag of each request.
"""
import os
import socket
import sys
import threading

import h2.config
import h2.errors
import h2.events
import h2.settings

import interop_messages as m
from h2_wire import Connection, frame, messages, zeros

CODES = h2.errors.ErrorCodes
verdict = threading.Lock()
case = sys.argv[1]


def conclude(problem=None):
    with verdict:
        print(f"fail {case} {problem}" if problem else f"ok {case}", flush=True)


class Server:
    """One client's connection; each case overrides what it is about."""

    count = 0  # requests on all connections
    connections = 0
    settings = None

    def __init__(self, sock):
        type(self).connections += 1
        self.number = self.connections
        self.wire = Connection(sock, False, self.settings)
        self.heads, self.bodies = {}, {}

    def run(self):
        events = self.wire.events()
        while events is not None:
            self.act(events)
            events = self.wire.events()

    def act(self, events):
        for event in events:
            self.saw(event)
            if isinstance(event, h2.events.RequestReceived):
                self.heads[event.stream_id] = dict(event.headers)
                self.bodies[event.stream_id] = b""
                self.began(event.stream_id)
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
            elif isinstance(event, h2.events.StreamEnded):
                type(self).count += 1
                self.answer(event.stream_id)
            self.wire.flush()

    def saw(self, event):
        pass

    def began(self, stream):
        pass

    def response(self, stream):
        """The message that answers a unary call."""
        [(_, data)] = messages(self.bodies[stream])
        size = m.SimpleRequest.FromString(data).response_size
        return m.SimpleResponse(payload=zeros(size))

    def head(self, stream, **fields):
        extra = [(name.replace("_", "-"), value) for name, value in fields.items()]
        self.wire.h2.send_headers(
            stream, [(":status", "200"), ("content-type", "application/grpc")] + extra)
        self.wire.flush()

    def end(self, stream, status="0"):
        self.wire.h2.send_headers(stream, [("grpc-status", status)], end_stream=True)
        self.wire.flush()

    def answer(self, stream):
        self.head(stream)
        self.act(self.wire.send(stream, frame(self.response(stream))))
        self.end(stream)


class goaway(Server):
    """The first call is answered and followed by GOAWAY; the second comes on a new connection."""

    def answer(self, stream):
        super().answer(stream)
        if self.count == 1:
            self.wire.h2.close_connection(last_stream_id=stream)
            self.wire.flush()
        elif self.count == 2:
            conclude(None if self.number == 2 else "the second call came on the first connection")


class rst_after_header(Server):
    def answer(self, stream):
        self.head(stream)
        self.wire.h2.reset_stream(stream, CODES.NO_ERROR)


class rst_during_data(Server):
    def answer(self, stream):
        self.head(stream)
        data = frame(self.response(stream))
        self.act(self.wire.send(stream, data[: len(data) // 2]))
        self.wire.h2.reset_stream(stream, CODES.NO_ERROR)


class rst_after_data(Server):
    def answer(self, stream):
        self.head(stream)
        self.act(self.wire.send(stream, frame(self.response(stream))))
        self.wire.h2.reset_stream(stream, CODES.NO_ERROR)


class ping(Server):
    """PINGs before and after head, data and trailers; each is acknowledged with its bytes."""

    def __init__(self, sock):
        super().__init__(sock)
        self.sent, self.acknowledged = [], []

    def ping(self):
        data = os.urandom(8)
        self.sent.append(data)
        self.wire.h2.ping(data)
        self.wire.flush()

    def saw(self, event):
        if isinstance(event, h2.events.PingAckReceived):
            self.acknowledged.append(event.ping_data)
            if len(self.acknowledged) == 4:
                conclude(None if self.acknowledged == self.sent else "other bytes came back")

    def answer(self, stream):
        self.ping()
        self.head(stream)
        self.ping()
        self.act(self.wire.send(stream, frame(self.response(stream))))
        self.ping()
        self.end(stream)
        self.ping()


class max_streams(Server):
    """After the first call one stream at a time is allowed; ten calls at once must respect it."""

    open = most = 0

    def began(self, stream):
        self.open += 1
        if self.count > 0:
            self.most = max(self.most, self.open)

    def answer(self, stream):
        if self.count == 1:
            limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            self.wire.h2.update_settings({limit: 1})
            self.wire.flush()
        super().answer(stream)
        self.open -= 1
        if self.count == 11:
            conclude(None if self.most == 1 and self.connections == 1 else
                     f"{self.most} streams at once, {self.connections} connections")


class data_frame_padding(Server):
    """Small DATA frames with more padding than data, which counts towards the windows."""

    def answer(self, stream):
        self.head(stream)
        data = frame(self.response(stream))
        padding = 200
        while data:
            part, rest = data[:100], data[100:]
            size = len(part) + padding + 1
            if self.wire.h2.local_flow_control_window(stream) < size:
                events = self.wire.events()
                if events is None:
                    return conclude("the client closed: it gives no window back for padding")
                self.act(events)
                continue
            self.wire.h2.send_data(stream, part, pad_length=padding)
            data = rest
            if len(rest) // 100 % 100 == 0:
                self.wire.flush()
        self.end(stream)
        conclude()


class compression(Server):
    """The compressed cases: the flag of each request, and responses as they are asked for."""

    def answer(self, stream):
        head = self.heads[stream]
        encoding = head.get("grpc-encoding", "identity")
        self.accepts = "gzip" in head.get("grpc-accept-encoding", "").split(",")
        method = head[":path"].rsplit("/", 1)[1]
        kinds = {"UnaryCall": m.SimpleRequest, "StreamingInputCall": m.StreamingInputCallRequest,
                 "StreamingOutputCall": m.StreamingOutputCallRequest}
        requests = []
        for flag, data in messages(self.bodies[stream]):
            if flag and encoding != "gzip":
                return self.refuse(stream, "13")
            request = kinds[method].FromString(data)
            if method != "StreamingOutputCall" and request.HasField("expect_compressed"):
                if request.expect_compressed.value != bool(flag):
                    return self.refuse(stream, "3")
            requests.append(request)
        self.head(stream, grpc_encoding="gzip")
        for data in getattr(self, method)(requests):
            self.act(self.wire.send(stream, data))
        self.end(stream)

    def refuse(self, stream, status):
        fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", status)]
        self.wire.h2.send_headers(stream, fields, end_stream=True)

    def frame(self, message, wanted):
        assert self.accepts, "the client does not accept gzip"
        return frame(message, wanted)

    def UnaryCall(self, requests):
        [request] = requests
        message = m.SimpleResponse(payload=zeros(request.response_size))
        yield self.frame(message, request.response_compressed.value)

    def StreamingInputCall(self, requests):
        size = sum(len(request.payload.body) for request in requests)
        yield self.frame(m.StreamingInputCallResponse(aggregated_payload_size=size), False)

    def StreamingOutputCall(self, requests):
        for parameters in requests[0].response_parameters:
            message = m.StreamingOutputCallResponse(payload=zeros(parameters.size))
            yield self.frame(message, parameters.compressed.value)


def serve(sock):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        globals()[case](sock).run()
    except Exception as error:
        conclude(" ".join(f"{type(error).__name__}: {error}".split())[:500])
    finally:
        sock.close()


def accept(listener):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
sys.stdin.read()
