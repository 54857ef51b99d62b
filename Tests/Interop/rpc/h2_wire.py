"""gRPC over Python's `h2`, frame by frame: what the raw client and the misbehaving server share."""
import gzip
import struct

import h2.config
import h2.connection
import h2.events

import interop_messages as m


def frame(message, compressed=False):
    """A length-prefixed message."""
    data = message if isinstance(message, bytes) else message.SerializeToString()
    if compressed:
        data = gzip.compress(data)
    return struct.pack(">BI", compressed, len(data)) + data


def messages(body):
    """Every whole message of a body: its flag and its bytes, decompressed."""
    result = []
    while len(body) >= 5:
        flag, length = struct.unpack(">BI", body[:5])
        data = body[5:5 + length]
        assert len(data) == length, "the body ends within a message"
        assert flag in (0, 1), f"flag {flag}"
        result.append((flag, gzip.decompress(data) if flag else data))
        body = body[5 + length:]
    assert not body, "the body ends within a prefix"
    return result


class Connection:
    """One side of a connection, with a blocking socket."""

    def __init__(self, sock, client, settings=None):
        self.sock = sock
        config = h2.config.H2Configuration(client_side=client, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        if settings:
            self.h2.local_settings.update(settings)
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def events(self):
        """What the next bytes mean; nothing when the peer has closed."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            return None
        events = self.h2.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                size = event.flow_controlled_length
                if size:
                    self.h2.acknowledge_received_data(size, event.stream_id)
        self.flush()
        return events

    def send(self, stream, data, end=False):
        """Sends bytes as the peer's windows allow; returns events that came meanwhile.

        A peer that ends the stream early gets no more.
        """
        seen = []
        while data:
            if any(isinstance(event, h2.events.StreamReset) for event in seen):
                return seen
            room = self.h2.local_flow_control_window(stream)
            count = min(room, self.h2.max_outbound_frame_size, len(data))
            if count == 0:
                events = self.events()
                if events is None:
                    raise ConnectionError("the peer closed while data waited for its window")
                seen += events
                continue
            self.h2.send_data(stream, data[:count])
            self.flush()
            data = data[count:]
        if end:
            self.h2.end_stream(stream)
            self.flush()
        return seen


def zeros(size):
    return m.zeros(size)
