#!/usr/bin/env python3
"""Writes the fuzzers' first inputs into seeds/: what a well-behaved peer sends, and some that does not."""
import gzip
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "seeds"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def fields(*pairs):
    """HPACK's literals without indexing (RFC 7541, 6.2.2)."""
    text = b""
    for name, value in pairs:
        name, value = name.encode(), value.encode()
        text += b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return text


def message(body, flag=0):
    return bytes([flag]) + struct.pack(">I", len(body)) + body


def request(stream, path, body, end=True, extra=()):
    head = fields((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"), ("te", "trailers"),
                  ("content-type", "application/grpc"), *extra)
    return frame(1, 4, stream, head) + frame(0, 1 if end else 0, stream, body)


def response(stream, body, *extra, status="0"):
    return (frame(1, 4, stream, fields((":status", "200"), ("content-type", "application/grpc"), *extra))
            + frame(0, 0, stream, body) + frame(1, 5, stream, fields(("grpc-status", status), ("grpc-message", "a%20b"))))


def write(target, *seeds):
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds):
        (folder / f"{index:02}").write_bytes(seed)


settings = frame(4, 0, 0, struct.pack(">HIHI", 3, 10, 4, 1000))
ping = frame(6, 0, 0, b"12345678")
window = frame(8, 0, 0, struct.pack(">I", 5000))
reset = frame(3, 0, 1, struct.pack(">I", 8))
goaway = frame(7, 0, 0, struct.pack(">II", 1, 0) + b"bye")
zipped = gzip.compress(b"hello " * 50, mtime=0)
plain = [request(1, path, message(b"hello")) for path in ("/f/u", "/f/e", "/f/c", "/f/b")]
requests = [
    *plain,
    settings + ping + window + plain[0],
    request(1, "/f/c", message(b"one") + message(b"two"), end=False) + reset,
    request(1, "/f/u", message(zipped, 1), extra=(("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip"))),
    request(1, "/f/u", message(b"x"), extra=(("grpc-timeout", "1m"), ("x-bin", "AAEC"))),
    plain[0] + request(3, "/f/b", message(b"x"), end=False) + goaway,
    frame(1, 0, 1, b"\x82") + frame(9, 4, 1, b"\x86"),
    frame(1, 0x2C, 1, b"\x01\x00\x00\x00\x00\x10\x82\x00"),
]
responses = [
    response(1, message(b"hello")),
    response(1, message(b"hello")) + response(3, message(b"a") + message(b"b")),
    settings + response(1, message(zipped, 1), ("grpc-encoding", "gzip")) + goaway,
    frame(1, 5, 1, fields((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5"))),
    frame(1, 5, 1, fields((":status", "503"))),
    frame(1, 4, 1, fields((":status", "103"))) + response(1, message(b"hello")),
    reset + ping + frame(3, 0, 3, struct.pack(">I", 7)),
    frame(5, 4, 1, struct.pack(">I", 2) + b"\x82"),
]
for target in ("session_server", "connection"):
    write(target, *(bytes([0, cut]) + seed for cut in (0, 70) for seed in requests))
write("session_client", *(bytes([0, cut]) + seed for cut in (0, 70) for seed in responses))
refused = frame(1, 5, 1, fields((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14"),
                                ("grpc-retry-pushback-ms", "20")))
failing = [*responses, refused + settings + response(3, message(b"hello")), goaway + settings * 40 + response(1, b""),
           reset + settings * 40 + refused, frame(0, 0, 0) + settings * 60 + response(1, message(b"hello"))]
write("client", *(bytes([kind, cut]) + seed for kind, cut in ((0, 0), (0, 70), (0x6E, 20), (0xAE, 20)) for seed in failing))
script = bytes([0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 5]) + b"hello" + bytes([0, 0, 0, 4, 0])
write("calls", script, script.replace(b"\x00\x01\x00", b"\x00\x01\x03") * 3, bytes(range(0, 250)), b"\x00\x01\x02" * 40)
write("messages", b"\x00\x00" + message(b"a") + message(b""), b"\x05\x01" + message(zipped, 1) + message(b"x"),
      b"\x09\x01" + message(b"x" * 300) * 3, b"\x00\x00\x02\x00\x00\x00\x00", b"\x00\x01" + b"\x00\x7f\xff\xff\xff")
write("metadata", b"avalue\x00bAAEC\x00bAAEC,AA==,_-\x00cdetail", b"a  spaces \x00d1234", b"AAECAwQ=")
write("text", b"100m", b"99999999H", b"5\nnot%20found %E2%82%AC", b"0\n", b"16\n%", b"identity, gzip", b"-1", "é€😀".encode())
write("names", b"127.0.0.1:7101", b"dns:///host.example:443", b"dns:host", b"ipv4:10.0.0.1:80,10.0.0.2:81",
      b"ipv6:[::1]:80,[fe80::1%eth0]:81", b"static:a:1,b:2,a:1", b"unix:///run/a.sock", b"[::1]:80", b"file:/run/list",
      b"# all\n 10.0.0.2:1 # old\r\n\nname:7\n", b"dns://8.8.8.8/host:1", b"[unix:/a]:80", b"name\0:1")
write("config", bytes(60), b"\x00" + struct.pack(">q", 100) + b"\x02\x0e\x08\x01" + struct.pack(">q", 4) + b"\x00"
      + struct.pack(">q", 1000) + struct.pack(">d", 2) + struct.pack(">q", 10) + struct.pack(">d", 0.1) + b"\x01\x041000\x0e",
      b"\x02" + struct.pack(">q", 2**62) + b"\x01\x0e\x02" + struct.pack(">q", 3) + bytes(16) + b"\x00\x03-1\x0e" * 5,
      b"\x01" + struct.pack(">q", -5) + b"\x02\x0e\x08\x01" + struct.pack(">q", 5) + b"\x03" + struct.pack(">qq", -9, 7)
      + struct.pack(">dqd", float("nan"), -1, float("inf")) + bytes(range(60)))
