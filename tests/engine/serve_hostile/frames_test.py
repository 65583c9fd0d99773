#!/usr/bin/env python3
"""Malformed HTTP/2, gRPC and protobuf, and messages that are too large, on connections of their own.

Usage: frames_test.py --driftseal PROGRAM [unittest's arguments]
"""

import os
import struct

import grpc

import engine
import http2
from http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    frame,
    grpc_headers,
    grpc_message,
    literal,
)

MIB = engine.MIB


def open_stream(stream=1, **extra):
    return frame(HEADERS, END_HEADERS, stream, grpc_headers(**extra))


class Frames(engine.Case):
    """What breaks the protocol of the connection must cost that connection and nothing else."""

    CLOSED = {  # Not HTTP/2, or an error of the connection: RFC 9113 has the server close it.
        "garbage": (False, os.urandom(4096)),
        "TLS's hello": (False, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512)),
        "HTTP/1.1": (False, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"),
        "a frame longer than allowed": (True, frame(DATA, 0, 1, b"", length=(1 << 24) - 1) + bytes(65536)),
        "SETTINGS of five bytes": (True, frame(SETTINGS, 0, 0, b"12345")),
        "SETTINGS of a stream": (True, frame(SETTINGS, 0, 1, b"")),
        "SETTINGS ACK with a payload": (True, frame(SETTINGS, ACK, 0, bytes(6))),
        "a window of 2^31": (True, frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31))),
        "PING of seven bytes": (True, frame(PING, 0, 0, b"1234567")),
        "RST_STREAM of two bytes": (True, frame(RST_STREAM, 0, 1, b"12")),
        "CONTINUATION without HEADERS": (True, frame(CONTINUATION, END_HEADERS, 1, literal("a", "b"))),
        "DATA between HEADERS and CONTINUATION": (
            True,
            frame(HEADERS, 0, 1, grpc_headers()) + frame(DATA, END_STREAM, 1, b"x"),
        ),
        "an HPACK index that is not there": (True, frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\x7f")),
        "an HPACK integer without end": (True, frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff" * 64)),
    }
    EITHER = {  # gRPC closes the connection or the stream, or ignores it.
        "half a preface": (False, PREFACE[:10]),
        "a stream with an even number": (True, open_stream(2)),
        "DATA of stream 0": (True, frame(DATA, 0, 0, b"x")),
        "HEADERS of stream 0": (True, open_stream(0)),
        "a string longer than its block": (True, frame(HEADERS, END_HEADERS, 1, b"\x00\x7f\xff\xff\x7fabc")),
        "Huffman garbage": (True, frame(HEADERS, END_HEADERS, 1, b"\x00\x84\xff\xff\xff\xff\x84\xff\xff\xff\xff")),
        "padding longer than its frame": (True, open_stream() + frame(DATA, PADDED, 1, b"\xffab")),
        "a window raised by nothing": (True, frame(WINDOW_UPDATE, 0, 0, bytes(4))),
        "a window raised too far": (True, 3 * frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1))),
        "a promise of a client": (True, frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + grpc_headers())),
        "a stream that depends on itself": (True, frame(PRIORITY, 0, 1, struct.pack(">IB", 1, 0))),
        "frames of unknown kinds": (True, b"".join(frame(kind, 255, 5, b"?" * 100) for kind in range(10, 256))),
        "GOAWAY and more": (True, frame(GOAWAY, 0, 0, bytes(8)) + open_stream()),
        "a stream that goes back": (True, open_stream(5) + open_stream(3)),
        "no headers at all": (True, frame(HEADERS, END_HEADERS | END_STREAM, 1, b"")),
        "a field with line ends": (True, open_stream(x="a\r\nb: c")),
        "a name in capitals": (True, frame(HEADERS, END_HEADERS, 1, grpc_headers() + literal("X-Big", "1"))),
        "a pseudo header too late": (True, frame(HEADERS, END_HEADERS, 1, grpc_headers() + literal(":path", "/x"))),
        "an unknown pseudo header": (True, frame(HEADERS, END_HEADERS, 1, literal(":evil", "1") + grpc_headers())),
        "a NUL in a value": (True, open_stream(x="a\0b")),
        "every timeout": (
            True,
            b"".join(
                open_stream(2 * i + 1, grpc_timeout=timeout)
                for i, timeout in enumerate(
                    ("99999999H", "999999999999999H", "-1S", "1", "S", "", "0n", "1e9S", "\N{BELL}")
                )
            ),
        ),
    }

    def test_errors_of_the_connection_end_it(self):
        for name, (hello, data) in self.CLOSED.items():
            with self.subTest(name), Connection(self.engine.grpc_port, hello) as connection:
                connection.send(data)
                self.assertTrue(connection.closed())
                self.engine.check()

    def test_the_rest_hurts_nobody(self):
        for name, (hello, data) in self.EITHER.items():
            with self.subTest(name), Connection(self.engine.grpc_port, hello) as connection:
                connection.send(data)
                if hello:
                    connection.barrier()
                self.engine.check()


class Floods(engine.Case):
    """Frames without number: what the engine keeps of them is bounded."""

    def flood(self, chunk, most, grows=128 * MIB):
        """Sends `chunk` until the engine closes or `most` bytes went out, never reading."""
        before = self.engine.rss()
        with Connection(self.engine.grpc_port) as connection:
            connection.socket.settimeout(2)  # An engine that stops reading is as good as one that closes.
            sent = 0
            while sent < most and connection.send(chunk(sent)):
                sent += len(chunk(sent))
            self.engine.check()
            self.assertLess(self.engine.rss() - before, grows, f"{sent} bytes sent")

    def test_continuations_without_end(self):  # CVE-2024-27316 and its kin
        more = frame(CONTINUATION, 0, 1, literal("x", "y" * 100) * 120)
        self.flood(lambda sent: more if sent else frame(HEADERS, 0, 1, grpc_headers()), 64 * MIB)

    def test_header_table_references(self):  # HPACK bomb
        fill = frame(HEADERS, END_HEADERS, 1, grpc_headers() + b"\x40" + literal("x", "y" * 3900)[1:])
        again = b"\xbe" * 16000  # The field that stands first in the table, 4 KB each.
        self.flood(
            lambda sent: frame(HEADERS, END_HEADERS, sent // 16000 * 2 + 3, grpc_headers() + again) if sent else fill,
            4 * MIB,
            grows=96 * MIB,
        )

    def test_settings(self):
        self.flood(lambda _: frame(SETTINGS, payload=struct.pack(">HI", 4, 65535) * 10) * 200, 32 * MIB)

    def test_pings(self):
        self.flood(lambda _: frame(PING, payload=b"12345678") * 2000, 16 * MIB)

    def test_empty_frames(self):  # CVE-2019-9518
        self.flood(lambda sent: frame(DATA, 0, 1) * 4000 if sent else open_stream(), 16 * MIB)

    def test_priorities(self):
        self.flood(
            lambda sent: b"".join(frame(PRIORITY, 0, 2 * i + 1, struct.pack(">IB", 0, 1)) for i in range(2000)),
            16 * MIB,
        )


class Messages(engine.Case):
    """What is wrong inside of a call is answered by its status."""

    def send(self, body, path=http2.SCORE, metadata=None):
        return self.engine.channel.unary_unary(path)(body, timeout=engine.SECONDS, metadata=metadata)

    def test_protobuf_that_is_none(self):
        for name, body in {
            "an open varint": b"\xff" * 11,
            "a string that ends early": b"\x0a\x7fabc",
            "text that is not UTF-8": b"\x0a\x02\xff\xfe",
            "deep groups": b"\x0b" * 100000,
            "field 0": b"\x00\x01",
            "wire type 7": b"\x0f",
            "noise": os.urandom(10000),
            "a length of 2^63": b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        }.items():
            with self.subTest(name):
                with self.assertRaises(grpc.RpcError) as caught:
                    self.send(body)
                self.assertIn(
                    caught.exception.code(),
                    (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND),
                )

    def test_rows_that_are_none(self):
        columns = engine.COLUMNS
        score = lambda **rows: self.engine.api.message("driftseal.v1.ScoreRequest", rows=rows).SerializeToString()
        cases = {
            "no rows": b"",
            "no columns": score(float32_le=bytes(20)),
            "other columns": score(cols=4, float32_le=bytes(16)),
            "part of a row": score(cols=columns, float32_le=bytes(4 * columns - 1)),
            "2^32 - 1 columns": score(cols=2**32 - 1, float32_le=b""),
            "both kinds": score(cols=columns, float32_le=bytes(4 * columns), values=[0] * columns),
            "values short of a row": score(cols=columns, values=[1]),
            "infinite": score(cols=columns, values=[float("inf")] * columns),
        }
        for name, body in cases.items():
            with self.subTest(name):
                error = self.assert_code(grpc.StatusCode.INVALID_ARGUMENT, lambda: self.send(body))
                self.assertTrue(error.details())

    def test_message_of_more_than_the_limit(self):
        """gRPC takes it all in before it looks at its size, within the memory that all messages share."""
        self.engine.reset_peak()
        before = self.engine.rss()
        self.assert_code(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: self.send(bytes(17 * MIB)))
        self.assertLess(self.engine.peak() - before, 64 * MIB)
        self.assert_code(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: self.send(bytes(600 * MIB)))
        self.assertLess(self.engine.peak() - before, 400 * MIB)

    def test_message_that_unpacks_to_more_than_the_limit(self):
        self.engine.reset_peak()
        before = self.engine.rss()
        with self.assertRaises(grpc.RpcError) as caught:
            self.engine.channel.unary_unary(http2.SCORE)(
                bytes(192 * MIB), timeout=engine.SECONDS, compression=grpc.Compression.Gzip
            )
        self.assertIn(
            caught.exception.code(),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL),
        )
        self.assertLess(self.engine.peak() - before, 64 * MIB)

    def test_lengths_that_lie(self):
        for name, data in {
            "4 GiB announced": frame(DATA, END_STREAM, 1, grpc_message(b"abc", length=2**32 - 1)),
            "16 MiB announced, none sent": frame(DATA, 0, 1, grpc_message(b"", length=16 * MIB - 1)),
            "half a prefix": frame(DATA, END_STREAM, 1, b"\x00\x00"),
            "two messages": frame(DATA, END_STREAM, 1, grpc_message(b"") * 2),
            "no message": frame(DATA, END_STREAM, 1),
            "flag 255": frame(DATA, END_STREAM, 1, grpc_message(b"", 255)),
            "packed, in no encoding": frame(DATA, END_STREAM, 1, grpc_message(b"abc", 1)),
        }.items():
            with self.subTest(name), Connection(self.engine.grpc_port) as connection:
                connection.send(open_stream() + data)
                connection.barrier()
                self.engine.check()

    def test_methods_that_are_none(self):
        for path in (
            "/driftseal.v1.Scoring/Nothing",
            "/",
            "",
            "/x",
            "/driftseal.v1.Scoring/Score/",
            "/../Score",
            "/" + "a" * 4000,
        ):
            with self.subTest(path), Connection(self.engine.grpc_port) as connection:
                connection.send(http2.request(1, b"", path=path))
                connection.barrier()
                self.engine.check()
        self.assert_code(grpc.StatusCode.UNIMPLEMENTED, lambda: self.send(b"", path="/driftseal.v1.Scoring/Nothing"))

    def test_metadata_beyond_the_limit(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.send(b"", metadata=[(f"x-{i}", "y" * 1000) for i in range(2000)])
        self.assertIn(
            caught.exception.code(),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE),
        )

    def test_other_content_types(self):
        for kind in ("text/html", "application/json", "application/grpc-web", ""):
            with self.subTest(kind), Connection(self.engine.grpc_port) as connection:
                connection.send(http2.request(1, b"", content_type=kind))
                connection.barrier()
                self.engine.check()


if __name__ == "__main__":
    engine.main()
