#!/usr/bin/env python3
"""Clients that ask and never read the answers, or begin a message and never end it: the engine's memory stays bounded.

Usage: readers_test.py --driftseal PROGRAM [unittest's arguments]
"""

import socket
import struct
import threading
import time

import engine
from http2 import DATA, END_HEADERS, HEADERS, Connection, frame, grpc_headers, grpc_message

MIB = engine.MIB


class Endless:
    """Requests of a stream without end, which counts how many were taken; ends with stop()."""

    def __init__(self, make):
        self.make, self.taken, self.stopped = make, 0, threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        if self.stopped.is_set():
            raise StopIteration
        self.taken += 1
        return self.make(self.taken)

    def wait_until_stuck(self):
        """Until no more are taken for half a second: everything between here and there is full."""
        end = time.monotonic() + engine.SECONDS
        while True:
            before = self.taken
            time.sleep(0.5)
            if before and self.taken == before:
                return
            if time.monotonic() > end:
                raise AssertionError(f"{self.taken} requests taken, none of their answers read, and no end of it")


class Streams(engine.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i in range(4000):
            name = cls.engine.root / "many" / f"a-rather-long-name-of-a-model-in-a-registry-{i:06d}.safetensors"
            name.parent.mkdir(exist_ok=True)
            name.write_bytes(engine.safetensors(0, 4))

    def unread(self, method, make, check):
        """Streams whose answers nobody reads; then reads them: each request has its answer."""
        before = self.engine.rss()
        streams = []
        for _ in range(4):
            requests = Endless(make)
            channel = self.engine.connect(("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0))
            self.addCleanup(channel.close)
            streams.append((requests, self.engine.api.call("driftseal.v1.Scoring", method, requests, channel=channel)))
        for requests, _ in streams:
            self.addCleanup(requests.stopped.set)
            requests.wait_until_stuck()
        self.assertLess(
            self.engine.rss() - before, 128 * MIB, f"{[requests.taken for requests, _ in streams]} requests"
        )
        self.engine.check()
        for requests, call in streams:
            requests.stopped.set()
            ids = [answer.id for answer in call if check(answer)]
            self.assertEqual(len(ids), requests.taken)
            self.assertEqual(len(set(ids)), len(ids))

    def test_score_stream(self):
        score = self.engine.rows(64)
        score.detail = 3
        self.unread(
            "ScoreStream",
            lambda i: self.engine.api.message("driftseal.v1.ScoreStreamRequest", id=i, request=score),
            lambda answer: len(answer.response.combined) == 64,
        )

    def test_verify_stream(self):
        path = engine.write_model(self.engine.root, "model")
        self.unread(
            "VerifyStream",
            lambda i: self.engine.api.message(
                "driftseal.v1.VerifyStreamRequest", id=str(i), request={"path": path, "want_report_entry": True}
            ),
            lambda answer: answer.verdict.report_entry,
        )

    def test_lists(self):
        before = self.engine.rss()
        channels = [self.engine.connect() for _ in range(50)]
        request = self.engine.api.message("driftseal.v1.ListArtifactsRequest", folder="many")
        calls = [
            self.engine.api.call("driftseal.v1.Scoring", "ListArtifacts", request, channel=channel)
            for channel in channels
        ]
        self.assertEqual(len(list(calls[0])), 4000)
        self.assertLess(self.engine.rss() - before, 128 * MIB)
        self.engine.check()
        for channel in channels:
            channel.close()

    def test_http(self):
        before = self.engine.rss()
        peers = []
        for _ in range(100):
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", self.engine.http_port))
            peer.sendall(
                b"GET /v1/artifacts?folder=many HTTP/1.1\r\nHost: x\r\n\r\n"
                b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20
            )
            peers.append(peer)
        for _ in range(20):
            self.engine.check()
        self.assertLess(self.engine.rss() - before, 256 * MIB)
        for peer in peers:
            peer.close()


class Unary(engine.Case):
    def test_answers_that_have_no_window(self):
        """A client whose windows are closed gets no answer, and costs no more than what it asked for."""
        body = self.engine.rows(40).SerializeToString()
        before = self.engine.rss()
        with Connection(self.engine.grpc_port, settings=struct.pack(">HI", 4, 0)) as connection:
            connection.socket.settimeout(2)
            for number in range(1, 2001, 2):
                message = grpc_message(body)
                parts = [message[at : at + 16384] for at in range(0, len(message), 16384)]
                if not connection.send(
                    frame(HEADERS, END_HEADERS, number, grpc_headers())
                    + b"".join(frame(DATA, i + 1 == len(parts), number, part) for i, part in enumerate(parts))
                ):
                    break
            self.engine.check()
            self.assertLess(self.engine.rss() - before, 192 * MIB)

    def test_messages_that_never_end(self):
        """Half of a large message on many connections."""
        before, peers = self.engine.rss(), []
        for _ in range(100):
            connection = Connection(self.engine.grpc_port)
            connection.send(frame(HEADERS, END_HEADERS, 1, grpc_headers()))
            half = grpc_message(bytes(65000), length=16 * MIB - 1)  # What the window takes at once.
            for at in range(0, len(half), 16384):
                connection.send(frame(DATA, 0, 1, half[at : at + 16384]))
            peers.append(connection)
        for connection in peers:
            connection.barrier()
        self.engine.check()
        self.assertLess(self.engine.rss() - before, 100 * MIB)
        for connection in peers:
            connection.socket.close()


if __name__ == "__main__":
    engine.main()
