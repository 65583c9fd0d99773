#!/usr/bin/env python3
"""HTTP/1.1 by hand: requests that two servers would read differently, JSON that is a bomb, and what is too large.

Usage: http_test.py --driftseal PROGRAM [unittest's arguments]
"""

import json
import re
import socket

import engine

MIB = engine.MIB
GOOD = json.dumps({"rows": {"cols": engine.COLUMNS, "values": [0.5] * engine.COLUMNS}}).encode()
SMUGGLED = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"


def post(body, *headers, path=b"/v1/score", length=None):
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: localhost", b"Content-Type: application/json", *headers]
    if length is None and not any(
        header.lower().startswith((b"content-length", b"transfer-encoding")) for header in headers
    ):
        length = len(body)
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks):
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


class Http(engine.Case):
    def send(self, data, seconds=2):
        """All that comes back until the engine closes, or has said nothing for so long."""
        with socket.create_connection(("127.0.0.1", self.engine.http_port)) as peer:
            peer.settimeout(seconds)
            out, closed = b"", False
            try:
                peer.sendall(data)
            except ConnectionError:
                pass
            try:
                while got := peer.recv(1 << 16):
                    out += got
                closed = True
            except TimeoutError:
                pass
            except ConnectionError:
                closed = True
            return out, closed

    def statuses(self, data, **options):
        out, closed = self.send(data, **options)
        return [int(status) for status in re.findall(rb"(?:^|\n|\})HTTP/1\.[01] (\d{3}) ", out)], closed

    def test_a_good_request(self):
        self.assertEqual(self.statuses(post(GOOD, b"Connection: close")), ([200], True))
        self.assertEqual(
            self.statuses(post(chunked(GOOD[:9], GOOD[9:]), b"Transfer-Encoding: chunked", b"Connection: close")),
            ([200], True),
        )

    def test_pipelined(self):
        statuses, _ = self.statuses(post(GOOD) * 99 + post(GOOD, b"Connection: close"), seconds=10)
        self.assertEqual(statuses, [200] * 100)

    SMUGGLING = {
        "both lengths": post(chunked() + SMUGGLED, b"Transfer-Encoding: chunked", b"Content-Length: 4"),
        "both lengths, the other way round": post(
            chunked() + SMUGGLED, b"Content-Length: 5", b"Transfer-Encoding: chunked"
        ),
        "two lengths": post(
            GOOD + SMUGGLED, b"Content-Length: %d" % len(GOOD), b"Content-Length: %d" % (len(GOOD) + len(SMUGGLED))
        ),
        "a list of lengths": post(GOOD + SMUGGLED, b"Content-Length: %d, %d" % (len(GOOD), len(GOOD) + len(SMUGGLED))),
        "a length with a sign": post(GOOD + SMUGGLED, b"Content-Length: +%d" % len(GOOD)),
        "a negative length": post(SMUGGLED, b"Content-Length: -1"),
        "a length in hex": post(GOOD + SMUGGLED, b"Content-Length: 0x%x" % len(GOOD)),
        "a length beyond 64 bits": post(SMUGGLED, b"Content-Length: 18446744073709551617"),
        "a length and more": post(GOOD + SMUGGLED, b"Content-Length: %d x" % len(GOOD)),
        "another encoding": post(chunked() + SMUGGLED, b"Transfer-Encoding: gzip"),
        "chunked twice": post(chunked() + SMUGGLED, b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        "chunked, misspelt": post(chunked() + SMUGGLED, b"Transfer-Encoding: xchunked"),
        "chunked with a vertical tab": post(chunked() + SMUGGLED, b"Transfer-Encoding: \x0bchunked"),
        "chunked in HTTP/1.0": b"POST /v1/score HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked() + SMUGGLED,
        "a blank before the colon": post(chunked() + SMUGGLED, b"Transfer-Encoding : chunked"),
        "line ends alone": post(GOOD + SMUGGLED, b"X: y\nContent-Length: 0"),
        "a NUL in a name": post(GOOD + SMUGGLED, b"Content-Length\0: 0"),
        "a chunk of no size": post(b"\r\n\r\n" + SMUGGLED, b"Transfer-Encoding: chunked"),
        "a chunk in no hex": post(b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n" + SMUGGLED, b"Transfer-Encoding: chunked"),
        "a negative chunk": post(b"-1\r\n\r\n" + SMUGGLED, b"Transfer-Encoding: chunked"),
        "a chunk beyond 64 bits": post(b"1" + b"0" * 20 + b"\r\n" + SMUGGLED, b"Transfer-Encoding: chunked"),
        "two hosts": b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + SMUGGLED,
        "no host": b"GET /health HTTP/1.1\r\n\r\n" + SMUGGLED,
        "no version": b"GET /health\r\n\r\n" + SMUGGLED,
        "another version": b"GET /health HTTP/3.7\r\nHost: a\r\n\r\n" + SMUGGLED,
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    }

    def test_smuggling(self):
        """An answer with an error, then the end: what follows is never read as a request."""
        for name, data in self.SMUGGLING.items():
            with self.subTest(name):
                out, closed = self.send(data)
                self.assertNotIn(b'"openapi"', out)
                self.assertTrue(closed, out)
                if out:
                    self.assertRegex(out[:40], rb"^HTTP/1\.1 (4\d\d|501|505) ")
                self.assertLessEqual(out.count(b"HTTP/1.1 "), 1)

    def test_folded_header(self):
        """What is folded belongs to the value before it (RFC 9112): the length counts, and all of it is the body."""
        out, _ = self.send(post(chunked() + SMUGGLED, b"X: y\r\n Transfer-Encoding: chunked"))
        self.assertRegex(out, rb"^HTTP/1\.1 400 ")
        self.assertEqual(out.count(b"HTTP/1.1 "), 1)

    def test_expect(self):
        with socket.create_connection(("127.0.0.1", self.engine.http_port)) as peer:
            peer.settimeout(engine.SECONDS)
            peer.sendall(post(b"", b"Expect: 100-continue", b"Connection: close", length=len(GOOD)))
            self.assertEqual(peer.recv(1 << 16).split(b"\r\n")[0], b"HTTP/1.1 100 Continue")
            peer.sendall(GOOD)
            self.assertEqual(peer.recv(1 << 16).split(b"\r\n")[0], b"HTTP/1.1 200 OK")
        for data, status in (
            (post(b"", b"Expect: a miracle", length=5), 417),
            (post(b"", b"Expect: 100-continue", length=1 << 40), 413),
        ):
            out, closed = self.send(data)
            self.assertEqual((out.split(b" ")[1], closed), (b"%d" % status, True))

    def test_too_large(self):
        self.engine.reset_peak()
        before = self.engine.rss()
        for name, data, allowed in (
            ("a body announced", post(b"", length=1 << 40), (413,)),
            ("a body sent", post(b" " * (40 * MIB)), (413,)),
            ("a body in chunks", post(chunked(*[b" " * MIB] * 40), b"Transfer-Encoding: chunked"), (413,)),
            ("a chunk announced", post(b"7fffffff\r\n", b"Transfer-Encoding: chunked"), (413, 408)),
            ("the name of a chunk", post(b"1;" + b"x" * (2 * MIB), b"Transfer-Encoding: chunked"), (400, 413)),
            ("a header", post(GOOD, b"X: " + b"y" * MIB), (400, 413, 431)),
            ("headers", post(GOOD, *[b"X-%d: y" % i for i in range(100000)]), (400, 413, 431)),
            ("a target", b"GET /" + b"a" * MIB + b" HTTP/1.1\r\nHost: x\r\n\r\n", (400, 414, 431)),
            (
                "trailers",
                post(b"0\r\n" + b"X: y\r\n" * 300000 + b"\r\n", b"Transfer-Encoding: chunked"),
                (400, 413, 431),
            ),
        ):
            with self.subTest(name):
                statuses, _ = self.statuses(data, seconds=6)
                if statuses:  # Or the connection was reset while it was sending.
                    self.assertIn(statuses[0], allowed)
                self.assertLess(len(statuses), 2)
        self.assertLess(self.engine.peak() - before, 96 * MIB)

    def test_json(self):
        deep = 200_000
        row = (
            lambda value: b'{"rows":{"cols":%d,"values":[' % engine.COLUMNS
            + value
            + b",0" * (engine.COLUMNS - 1)
            + b"]}}"
        )
        bombs = {
            "arrays in arrays": b"[" * deep,
            "objects in objects": b'{"rows":' * deep + b"}" * deep,
            "unknown and deep": b'{"x":' + b"[" * deep + b"]" * deep + b"}",
            "a number of a million digits": row(b"1" * 1_000_000),
            "1e999": row(b"1e999"),
            "-1e999": row(b"-1e999"),
            "1e-999999999": row(b"1e-9999999999999999999"),
            "hex": row(b"0x10"),
            "NaN bare": row(b"NaN"),
            "plus": row(b"+1"),
            "text": row(b'"abc"'),
            "infinite": row(b'"Infinity"'),
            "twice": b'{"detector":"a","detector":"b"}',
            "unknown": b'{"nothing":1}',
            "comment": b"{/**/}",
            "nothing": b"null",
            "more": GOOD + b"x",
            "cut": GOOD[:-3],
            "not UTF-8": b'{"detector":"\xff\xfe"}',
            "half a pair": b'{"detector":"\\ud800"}',
            "NUL": b'{"detector":"a\\u0000b"}',
            "a byte order mark": b"\xef\xbb\xbf" + GOOD,
            "a column too many": b'{"rows":{"cols":99999999999999,"values":[]}}',
            "negative": b'{"rows":{"cols":-1,"values":[]}}',
            "a fraction": b'{"rows":{"cols":1.5,"values":[]}}',
            "base64 that is none": b'{"rows":{"cols":5,"float32_le":"!!!!"}}',
            "a wrong enum": b'{"detail":"EVERYTHING"}',
            "a long key": b'{"' + b"k" * (2 * MIB) + b'":1}',
            "many keys": b"{" + b",".join(b'"k%d":1' % i for i in range(100000)) + b"}",
            "escapes": b'{"detector":"' + b"\\u0041" * 1_000_000 + b'"}',
            "YAML": b"rows: 1",
        }
        self.engine.reset_peak()
        before = self.engine.rss()
        for name, body in bombs.items():
            with self.subTest(name):
                statuses, _ = self.statuses(post(body, b"Connection: close"), seconds=10)
                if name == "1e-999999999":
                    self.assertIn(statuses, ([200], [400]))
                elif name in ("escapes",):
                    self.assertIn(statuses, ([400], [404]))
                elif name == "NUL":
                    self.assertIn(statuses, ([400], [404]))
                else:
                    self.assertEqual(statuses, [400])
        self.assertLess(self.engine.peak() - before, 128 * MIB)

    def test_methods(self):
        for request in (
            b"TRACE /health",
            b"CONNECT localhost:22",
            b"PUT /v1/score",
            b"DELETE /v1/detectors/rows",
            b"PROPFIND /",
            b"GET http://a:b@c/",
            b"OPTIONS *",
            b"G\x01T /health",
            b"GET \0",
            b"get /health",
            b"GET /health?" + b"a=b&" * 500,
            b"POST /health",
            b"HEAD /health",
        ):
            with self.subTest(request[:30]):
                statuses, _ = self.statuses(
                    request + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                self.assertLessEqual(len(statuses), 1)
                if statuses and request.split()[0] not in (b"OPTIONS", b"HEAD", b"GET"):
                    self.assertIn(statuses[0], (400, 404, 405, 501))
                self.assertNotIn(500, statuses)

    def test_upgrades(self):
        for upgrade in (b"h2c", b"websocket", b"TLS/1.0"):
            out, _ = self.send(
                b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
                + upgrade
                + b"\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
            )
            self.assertNotIn(b"101 ", out[:20])

    def test_answers_hold_no_lines_of_the_request(self):
        """What a client sent comes back escaped, if at all: no header, no markup."""
        out, _ = self.send(
            b"GET /v1/detectors/%0d%0aSet-Cookie:%20a=b%3Cscript%3E HTTP/1.1\r\n"
            b"Host: x\r\nX-Request-Id: a\tb\r\nConnection: close\r\n\r\n"
        )
        head, _, body = out.partition(b"\r\n\r\n")
        self.assertNotIn(b"Set-Cookie", head)
        self.assertIn(b"json", head.lower())
        self.assertNotIn(b"\r\nSet-Cookie", body)


if __name__ == "__main__":
    engine.main()
