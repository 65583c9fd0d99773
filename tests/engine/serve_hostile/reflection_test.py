#!/usr/bin/env python3
"""What a client does that has never seen the .proto files, as grpcurl: services by reflection, calls from descriptors
that came over the wire; and the reflection service itself under strange questions.

Usage: reflection_test.py --driftseal PROGRAM [unittest's arguments]
"""

import json
import math

import grpc
from google.protobuf import json_format
from grpc_reflection.v1alpha import reflection_pb2

import engine
import reflected


class Reflection(engine.Case):
    def test_services(self):
        self.assertGreaterEqual(
            set(self.engine.api.services),
            {
                "driftseal.v1.Scoring",
                "driftseal.v1.Detectors",
                "driftseal.v1.Integrity",
                "driftseal.v1.Predictions",
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
            },
        )

    def test_every_message_of_the_contract_can_be_made(self):
        for service, name in self.engine.api.methods():
            method = self.engine.api.method(service, name)
            for kind in (method.input_type, method.output_type):
                message = self.engine.api.message(kind.full_name)
                self.assertEqual(message.SerializeToString(), b"")
                self.assertTrue(kind.fields, kind.full_name)

    def test_score_from_json(self):
        text = json.dumps(
            {
                "rows": {"cols": engine.COLUMNS, "values": [0.25, "NaN", *[0] * (engine.COLUMNS - 2)] * 3},
                "detail": "DETAIL_DRIVERS",
            }
        )
        request = self.engine.api.from_json("driftseal.v1.ScoreRequest", text)
        answer = json_format.MessageToDict(
            self.engine.api.call("driftseal.v1.Scoring", "Score", request, timeout=engine.SECONDS)
        )
        self.assertEqual(answer["detector"], "rows@1")
        self.assertEqual((len(answer["combined"]), len(answer["pValue"]), len(answer["details"])), (3, 3, 3))
        self.assertEqual(len(set(answer["combined"])), 1)

    def test_stream_from_json(self):
        requests = [
            self.engine.api.from_json(
                "driftseal.v1.ScoreStreamRequest",
                json.dumps({"id": i, "request": {"rows": {"cols": engine.COLUMNS, "values": [i] * engine.COLUMNS}}}),
            )
            for i in range(100)
        ]
        answers = list(
            self.engine.api.call("driftseal.v1.Scoring", "ScoreStream", iter(requests), timeout=engine.SECONDS)
        )
        self.assertEqual(sorted(answer.id for answer in answers), list(range(100)))
        self.assertTrue(all(math.isfinite(answer.response.combined[0]) for answer in answers))

    def test_verify_from_json(self):
        path = engine.write_model(self.engine.root, "model")
        verdict = self.engine.verify(path, want_report_entry=True)
        self.assertEqual(verdict.path, path)
        self.assertEqual(verdict.files[0].actual_sha256, verdict.files[0].recorded_sha256)
        self.assertEqual(json.loads(verdict.report_entry)["path"], path)

    def test_strange_questions(self):
        ask = self.engine.api._ask
        for question in (
            {"file_containing_symbol": "no.such.Thing"},
            {"file_by_filename": "../../etc/passwd"},
            {"file_by_filename": "x" * 100000},
            {"file_containing_symbol": ""},
            {"all_extension_numbers_of_type": "no.such.Type"},
            {"file_containing_extension": {"containing_type": "no.such.Type", "extension_number": 2**31 - 1}},
        ):
            with self.subTest(question), self.assertRaises(LookupError):
                ask(**question)

    def test_noise(self):
        call = self.engine.channel.stream_stream(reflected.METHOD)(iter([b"\xff" * 1000]), timeout=engine.SECONDS)
        try:
            answers = [reflection_pb2.ServerReflectionResponse.FromString(answer) for answer in call]
        except grpc.RpcError as error:
            self.assertIn(error.code(), (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT))
        else:
            self.assertTrue(all(answer.HasField("error_response") for answer in answers), answers)

    def test_health_of_each_service(self):
        check = self.engine.channel.unary_unary("/grpc.health.v1.Health/Check")
        for service in self.engine.api.services:
            if service.startswith("driftseal."):
                name = service.encode()
                self.assertEqual(
                    check(b"\x0a" + bytes([len(name)]) + name, timeout=engine.SECONDS), b"\x08\x01", service
                )
        self.assert_code(grpc.StatusCode.NOT_FOUND, lambda: check(b"\x0a\x03abc", timeout=engine.SECONDS))


if __name__ == "__main__":
    engine.main()
