#!/usr/bin/env python3
"""Connections that do nothing, do it slowly, or do it too often: idle ones by the thousand, half-open ones, floods of
streams that are opened and dropped.

Usage: connections_test.py --driftseal PROGRAM [unittest's arguments]
"""

import concurrent.futures
import errno
import queue
import resource
import socket
import struct
import unittest

import grpc

import engine
import http2
from http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Connection,
    frame,
    grpc_headers,
    grpc_message,
)

MIB = engine.MIB


def connect(port):
    """A socket, however many there are already."""
    out = socket.socket()
    out.connect(("127.0.0.1", port))
    return out


def alive(peer):
    """Whether the other end has not closed it."""
    peer.setblocking(False)
    try:
        while peer.recv(65536):
            pass
        return False
    except OSError as error:
        return error.errno == errno.EAGAIN


class Idle(unittest.TestCase):
    COUNT = 10_000

    def test_ten_thousand_idle_connections(self):
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (min(self.COUNT + 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2
        )
        served = engine.Engine("--max-connections", self.COUNT + 100, "--handshake-timeout-ms", 60000)
        self.addCleanup(served.stop)
        served.check()
        descriptors, memory = served.descriptors(), served.rss()
        idle = []
        self.addCleanup(lambda: [peer.close() for peer in idle])
        for i in range(self.COUNT):
            if i % 5 == 4:
                idle.append(connect(served.http_port))
                idle[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            else:
                idle.append(connect(served.grpc_port))
                idle[-1].sendall(PREFACE + frame(SETTINGS))
        engine.wait_for(lambda: served.descriptors() >= descriptors + self.COUNT, "all connections")
        with_channel = served.connect()
        served.check(with_channel)  # A new connection beside them.
        with_channel.close()
        grown = served.rss() - memory
        print(f"{self.COUNT} idle connections: {grown / MIB:.0f} MiB, {grown / self.COUNT / 1024:.1f} KiB each")
        self.assertLess(grown, self.COUNT * 64 * 1024)
        self.assertEqual(sum(alive(peer) for peer in idle), self.COUNT)
        for peer in idle:
            peer.close()
        served.settle(descriptors)
        served.check()


class Limit(engine.Case):
    flags = ("--max-connections", 20, "--handshake-timeout-ms", 60000)

    def test_more_are_closed_until_some_end(self):
        taken = [connect(self.engine.grpc_port) for _ in range(40)]
        self.addCleanup(lambda: [peer.close() for peer in taken])
        engine.wait_for(lambda: sum(alive(peer) for peer in taken) <= 20, "the limit")
        kept = sum(alive(peer) for peer in taken)
        self.assertGreaterEqual(kept, 15)  # The test's own channel is one of the twenty.
        self.engine.check()  # That channel goes on.
        for peer in taken:
            peer.close()
        channel = self.engine.connect()
        engine.wait_for(lambda: self.reaches(channel), "a new connection")
        channel.close()

    def reaches(self, channel):
        try:
            self.engine.check(channel)
            return True
        except grpc.RpcError:
            return False


class Slow(engine.Case):
    """Connections that do not say what they want are given up after a time; those that work are not."""

    flags = ("--handshake-timeout-ms", 500, "--idle-timeout-s", 1)

    def assert_closed(self, port, *parts):
        with Connection(port, hello=False) as connection:
            for part in parts:
                connection.send(part)
            self.assertTrue(connection.closed(10), parts)

    def test_silence(self):
        self.assert_closed(self.engine.grpc_port)
        self.assert_closed(self.engine.http_port)

    def test_part_of_a_hello(self):
        self.assert_closed(self.engine.grpc_port, PREFACE[:5])
        self.assert_closed(self.engine.http_port, b"POST /v1/score HT")
        self.assert_closed(self.engine.http_port, b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")

    def test_a_byte_at_a_time(self):  # slowloris: each byte comes in time, the request never does
        for port, text in ((self.engine.grpc_port, PREFACE), (self.engine.http_port, b"GET /" + b"a" * 10000)):
            with self.subTest(text[:5]), socket.create_connection(("127.0.0.1", port)) as peer:
                peer.settimeout(0.2)  # The pace of the attacker.
                for byte in text[:-1]:
                    try:
                        peer.sendall(bytes([byte]))
                        if peer.recv(65536) == b"":
                            break
                    except TimeoutError:
                        pass
                    except ConnectionError:
                        break
                else:
                    self.fail("the engine waited for all of it")

    def test_no_call_for_long(self):
        with Connection(self.engine.grpc_port) as connection:
            self.assertTrue(connection.closed(20))

    def test_half_closed(self):
        with Connection(self.engine.grpc_port) as connection:
            connection.send(http2.request(1, self.engine.rows().SerializeToString()))
            connection.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(connection.closed(20))

    def test_reset(self):
        for _ in range(200):
            with Connection(self.engine.grpc_port) as connection:
                connection.send(frame(HEADERS, END_HEADERS, 1, grpc_headers()))
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Streams(engine.Case):
    """Calls that are opened and dropped."""

    def reset(self, connection, first, count):
        """Opens so many calls and resets each at once."""
        body = grpc_message(self.engine.rows(2).SerializeToString())
        for begin in range(first, first + 2 * count, 200):
            calls = b"".join(
                frame(HEADERS, END_HEADERS, number, grpc_headers())
                + frame(DATA, END_STREAM, number, body)
                + frame(RST_STREAM, 0, number, struct.pack(">I", 8))
                for number in range(begin, begin + 200, 2)
            )
            if not connection.send(calls):
                break
        connection.barrier()
        self.engine.check()
        return self.engine.rss()

    def test_rapid_reset(self):
        """CVE-2023-44487: calls that are reset are no longer counted as streams, and their work goes on for a moment.
        What that takes depends on how many meet, and is used again: 80,000 calls that kept 3 KiB each would pass the
        bound."""
        before = self.engine.rss()
        with Connection(self.engine.grpc_port) as connection:
            for turn in range(40):
                self.assertLess(self.reset(connection, 1 + 4_000 * turn, 2_000) - before, 256 * MIB, f"turn {turn}")

    def test_more_streams_than_allowed(self):
        opening = lambda number: frame(HEADERS, END_HEADERS, number, grpc_headers("/driftseal.v1.Scoring/ScoreStream"))
        before = self.engine.rss()
        for acknowledges in (True, False):
            with self.subTest(acknowledges=acknowledges), Connection(self.engine.grpc_port) as connection:
                if acknowledges:
                    next(kind for kind, flags, *_ in connection.frames() if kind == SETTINGS and not flags & ACK)
                    connection.send(frame(SETTINGS, ACK))
                    connection.barrier()
                all(connection.send(opening(number)) for number in range(1, 8001, 2))
                self.engine.check()
                if acknowledges:  # gRPC holds a client to the limit once it has said that it knows it.
                    refused = sum(kind in (RST_STREAM, GOAWAY) for kind, *_ in connection.frames(2))
                    self.assertGreater(refused, 0)
                self.assertLess(self.engine.rss() - before, 256 * MIB)

    def test_cancelled_at_once(self):
        request = self.engine.rows(16)
        score = self.engine.api.multicallable("driftseal.v1.Scoring", "Score")
        for _ in range(20):
            calls = [score.future(request, timeout=engine.SECONDS) for _ in range(100)]
            for call in calls:
                call.cancel()
        self.engine.check()

    def test_deadlines_that_are_over(self):
        score = self.engine.api.multicallable("driftseal.v1.Scoring", "Score")
        calls = [score.future(self.engine.rows(64), timeout=0.0005 * (i % 4)) for i in range(1000)]
        for call in calls:
            self.assertIn(call.code(), (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK))

    def test_abandoned(self):
        channels = [self.engine.connect() for _ in range(20)]
        requests = queue.SimpleQueue()
        for channel in channels:
            for name in ("ScoreStream", "VerifyStream"):
                call = self.engine.api.multicallable("driftseal.v1.Scoring", name, channel)
                for _ in range(20):
                    call(iter(requests.get, None))
        for channel in channels:
            channel.close()
        for _ in range(len(channels) * 40):  # The threads that gRPC keeps to take requests.
            requests.put(None)

    def test_stream_of_refusals(self):
        """A stream whose every message is wrong goes on and answers each."""
        request = self.engine.api.message("driftseal.v1.ScoreStreamRequest", id=7)
        answers = list(
            self.engine.api.call("driftseal.v1.Scoring", "ScoreStream", iter([request] * 500), timeout=engine.SECONDS)
        )
        self.assertEqual([(answer.id, answer.WhichOneof("result")) for answer in answers], [(7, "error")] * 500)

    def test_many_threads(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: self.engine.check(), range(200)))


if __name__ == "__main__":
    engine.main()
