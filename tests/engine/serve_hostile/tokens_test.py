#!/usr/bin/env python3
"""Who may call what: no token, bad ones, expired ones, ones of too small a scope, over gRPC and HTTP.

Usage: tokens_test.py --driftseal PROGRAM [unittest's arguments]
"""

import http.client
import json
import os
import pathlib
import signal
import tempfile

import grpc

import engine
import http2
from http2 import Connection

RULE = 50501  # (driftseal.v1.rule), an extension of google.protobuf.MethodOptions
SCOPES = {1: "score", 2: "verify", 3: "admin"}


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """(number, value) of a message's fields, by hand: the options of the contract are an extension."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        yield key >> 3, value


class Tokens(engine.Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.file = pathlib.Path(folder.name) / "tokens"
        cls.tokens, lines = {}, "# tokens of the test\n"
        for name in ("score", "verify", "admin"):
            cls.tokens[name], line = engine.token_line(name, name)
            lines += line
        cls.tokens["expired"], line = engine.token_line("old", "admin", "2020-01-01T00:00:00Z")
        cls.lines = lines + line
        cls.write(cls.lines)
        cls.engine = engine.Engine("--tokens-file", cls.file, token=cls.tokens["score"])
        cls.addClassCleanup(cls.engine.stop)
        cls.engine.check()

    @classmethod
    def write(cls, text):
        cls.file.write_text(text)
        os.chmod(cls.file, 0o600)

    def scopes(self):
        """(service, method): the least scope, as the options in the descriptors say."""
        found = {}
        for file in self.engine.api.files.values():
            for service in file.service:
                if file.package == "driftseal.v1":
                    for method in service.method:
                        rule = dict(fields(dict(fields(method.options.SerializeToString()))[RULE]))
                        found[f"driftseal.v1.{service.name}", method.name] = rule[1]
        return found

    def call(self, service, name, *metadata):
        """The code that an empty request comes to."""
        method = self.engine.api.method(service, name)
        request = self.engine.api.message(method.input_type.full_name)
        try:
            answer = self.engine.api.call(
                service,
                name,
                iter([request]) if method.client_streaming else request,
                timeout=engine.SECONDS,
                metadata=metadata,
            )
            if method.server_streaming:
                next(answer, None)
                answer.cancel()
            return grpc.StatusCode.OK
        except grpc.RpcError as error:
            return error.code()

    def bearer(self, token):
        return ("authorization", f"Bearer {token}")

    def test_every_method_asks_for_its_scope(self):
        scopes = self.scopes()
        self.assertEqual(set(scopes), set(self.engine.api.methods()))
        for (service, name), least in scopes.items():
            for held, word in SCOPES.items():
                with self.subTest(method=name, token=word):
                    if word == "admin" and name == "Fit":
                        continue  # Would begin a fit; PERMISSION_DENIED is what is tested here, and its absence below.
                    code = self.call(service, name, self.bearer(self.tokens[word]))
                    if held < least:
                        self.assertEqual(code, grpc.StatusCode.PERMISSION_DENIED)
                    else:
                        self.assertNotIn(code, (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED))

    def test_bad_tokens(self):
        good = self.tokens["admin"]
        wrong = {
            "none": (),
            "expired": (self.bearer(self.tokens["expired"]),),
            "empty": (self.bearer(""),),
            "one letter off": (self.bearer(good[:-1] + ("a" if good[-1] != "a" else "b")),),
            "cut": (self.bearer(good[:-1]),),
            "longer": (self.bearer(good + "A"),),
            "in quotes": (self.bearer(f'"{good}"'),),
            "no scheme": (("authorization", good),),
            "Basic": (("authorization", f"Basic {good}"),),
            "the digest": (self.bearer(self.lines.split("sha256:")[3].split()[0]),),
            "as binary": (("authorization-bin", f"Bearer {good}".encode()),),
            "in another header": (("token", good),),
            "a long one": (self.bearer("A" * 4000),),
            "a wildcard": (self.bearer("*"),),
            "a client's name": (self.bearer("admin"),),
            "from the gateway": (("x-driftseal-peer", "ipv4:127.0.0.1:1"), ("x-driftseal-certificate", "admin")),
            "two of them": (self.bearer("A"), self.bearer(good)),
        }
        for service, name in self.engine.api.methods():
            for kind, metadata in wrong.items():
                with self.subTest(method=name, token=kind):
                    self.assertEqual(self.call(service, name, *metadata), grpc.StatusCode.UNAUTHENTICATED)

    def test_forged_gateway_with_a_token(self):
        """Metadata of the gateway is believed of the gateway alone, and lends nobody another's rights."""
        forged = (
            ("x-driftseal-peer", "ipv4:10.0.0.1:1"),
            ("x-driftseal-certificate", "admin"),
            self.bearer(self.tokens["score"]),
        )
        self.assertEqual(self.call("driftseal.v1.Detectors", "Load", *forged), grpc.StatusCode.PERMISSION_DENIED)

    def test_bytes_that_no_library_sends(self):
        body = self.engine.rows().SerializeToString()
        for value in (b"Bearer \xff\xfe", b"Bearer \0", b"\n", b"Bearer " + b"A" * 15000):
            with self.subTest(value[:20]), Connection(self.engine.grpc_port) as connection:
                connection.send(
                    http2.frame(
                        http2.HEADERS,
                        http2.END_HEADERS,
                        1,
                        http2.grpc_headers() + http2.literal("authorization", value),
                    )
                    + http2.frame(http2.DATA, 1, 1, http2.grpc_message(body))
                )
                connection.barrier()
                self.engine.check()

    def http(self, method, path, *headers, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.http_port, timeout=engine.SECONDS)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **dict(headers)})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def test_http_asks_for_the_same(self):
        pages = json.loads(self.http("GET", "/openapi.json")[1])["paths"]
        routes = [
            (word.upper(), path.replace("{", "").replace("}", ""))
            for path, page in pages.items()
            for word in page
            if word in ("get", "post") and path not in ("/health", "/healthz", "/readyz", "/metrics", "/openapi.json")
        ]
        self.assertGreater(len(routes), 15)
        scoring = {"/v1/score", "/v1/detectors", "/v1/detectors/detector"}
        for method, path in routes:
            for headers in (
                (),
                (("Authorization", "Bearer x"),),
                (("Authorization", f"Bearer {self.tokens['expired']}"),),
                (("Authorization", f"Basic {self.tokens['admin']}"),),
                (("X-Driftseal-Peer", "ipv4:127.0.0.1:1"),),
                (("Grpc-Metadata-Authorization", f"Bearer {self.tokens['admin']}"),),
            ):
                with self.subTest(path=path, headers=headers):
                    self.assertEqual(self.http(method, path, *headers, body=None if method == "GET" else b"{}")[0], 401)
            status, said = self.http(
                method, path, self.bearer(self.tokens["score"]), body=None if method == "GET" else b"{}"
            )
            with self.subTest(path=path):
                self.assertEqual(status == 403, path not in scoring, said)

    def test_changes_of_the_file(self):
        fresh, line = engine.token_line("fresh", "score")
        self.assertEqual(
            self.call("driftseal.v1.Detectors", "List", self.bearer(fresh)), grpc.StatusCode.UNAUTHENTICATED
        )
        self.addCleanup(self.reload, self.lines, self.tokens["score"], grpc.StatusCode.OK)
        self.reload(self.lines + line, fresh, grpc.StatusCode.OK)
        self.write(self.lines + "this is no line of it\n")  # Refused as a whole: what was there stays.
        self.engine.signal(signal.SIGHUP)
        engine.wait_for(lambda: "no line" in self.engine.said() or "tokens" in self.engine.said(), "a word about it")
        self.assertEqual(self.call("driftseal.v1.Detectors", "List", self.bearer(fresh)), grpc.StatusCode.OK)
        self.reload(self.lines, fresh, grpc.StatusCode.UNAUTHENTICATED)

    def reload(self, text, token, code):
        self.write(text)
        self.engine.signal(signal.SIGHUP)
        engine.wait_for(lambda: self.call("driftseal.v1.Detectors", "List", self.bearer(token)) == code, code)

    def test_nothing_of_a_token_is_logged(self):
        self.call("driftseal.v1.Detectors", "List", self.bearer("A-SECRET-THAT-NOBODY-KNOWS"))
        self.call("driftseal.v1.Detectors", "List", self.bearer(self.tokens["admin"]))
        said = self.engine.said()
        for token in ("A-SECRET-THAT-NOBODY-KNOWS", *self.tokens.values()):
            self.assertNotIn(token, said)


if __name__ == "__main__":
    engine.main()
