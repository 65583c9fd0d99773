"""HTTP/2 by hand, so that it can be wrong (RFC 9113)."""

import select
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK, PADDED = 1, 4, 1, 8
SCORE = "/driftseal.v1.Scoring/Score"


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(value, prefix, first=0):
    """HPACK's integer with a prefix of so many bits."""
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def literal(name, value):
    """A header field that is not indexed."""
    name, value = (part if isinstance(part, bytes) else part.encode() for part in (name, value))
    return b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value


def grpc_headers(path=SCORE, **extra):
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
        **{name.replace("_", "-"): value for name, value in extra.items()},
    }
    return b"".join(literal(name, value) for name, value in fields.items())


def grpc_message(body, compressed=0, length=None):
    return struct.pack(">BI", compressed, len(body) if length is None else length) + body


def request(stream, body, path=SCORE, **extra):
    """A whole call: headers, one message, end."""
    return frame(HEADERS, END_HEADERS, stream, grpc_headers(path, **extra)) + frame(
        DATA, END_STREAM, stream, grpc_message(body)
    )


class Connection:
    """A socket that has said hello, or has not."""

    def __init__(self, port, hello=True, settings=b"", receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(30)
        self.buffer = b""
        if hello:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False where the engine has closed the connection."""
        try:
            self.socket.sendall(data)
            return True
        except (ConnectionError, TimeoutError):
            return False

    def frames(self, seconds=30):
        """(kind, flags, stream, payload) until the engine closes, or says nothing for so long."""
        while True:
            while len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + length:
                    break
                kind, flags = self.buffer[3], self.buffer[4]
                stream = int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
                payload, self.buffer = self.buffer[9 : 9 + length], self.buffer[9 + length :]
                yield kind, flags, stream, payload
            if not select.select([self.socket], [], [], seconds)[0]:
                return
            try:
                got = self.socket.recv(65536)
            except ConnectionError:
                return
            if not got:
                return
            self.buffer += got

    def closed(self, seconds=30):
        """Waits for the engine to close the connection; false where it stays."""
        for _ in self.frames(seconds):
            pass
        if not select.select([self.socket], [], [], 0)[0]:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def barrier(self):
        """Waits until all that was sent has been read: a PING comes back."""
        mark = b"barrier!"
        if not self.send(frame(PING, payload=mark)):
            return False
        return any(kind == PING and payload == mark for kind, _, _, payload in self.frames())
