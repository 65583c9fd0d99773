"""The engine as a process: it starts, says where it listens, answers, drains on SIGTERM and ends with a code."""

import json
import os
import pathlib
import re
import signal
import socket
import unittest

import grpc

import engine
from engine import Engine, TestCase, await_that, health, large_model, verify

LARGE = 600  # MiB; hashing them takes long enough for signals to arrive meanwhile.


class Starting(TestCase):
    def test_says_where_it_listens_and_answers_there(self):
        with Engine(self.folder) as one:
            self.assertEqual(one.curl("/readyz")[0], 200)
            self.assertEqual(one.curl("/healthz")[0], 200)
            self.assertIn("driftseal_build_info", one.curl("/metrics")[1])
            with one.channel() as channel:
                self.assertEqual(health(channel), 1)
            line = one.await_line("listening")
            self.assertEqual(line["grpc"], f"127.0.0.1:{one.grpc_port}")
            self.assertEqual(line["http"], f"127.0.0.1:{one.http_port}")
            self.assertEqual(one.stop(), 0)
            self.assertFalse(one.port_file.exists())

    def test_reflection_names_the_services(self):
        with Engine(self.folder) as one, one.channel() as channel:
            call = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
            answer = next(call(iter([b"\x3a\x00"]), timeout=20))  # list_services = ""
            for service in ("driftseal.v1.Scoring", "driftseal.v1.Detectors", "grpc.health.v1.Health"):
                self.assertIn(service.encode(), answer)

    def test_log_lines_are_json_with_time_level_and_message(self):
        with Engine(self.folder, "--log-level", "debug") as one:
            one.curl("/v1/detectors", "-H", "X-Request-Id: abc-1")
            call = one.await_line("call")
            self.assertEqual(one.stop(), 0)
            self.assertEqual((call["request_id"], call["code"]), ("abc-1", "OK"))
            self.assertGreaterEqual(call["duration_ms"], 0)
            for line in one.lines():
                self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertIn(line["level"], ("debug", "info", "warning", "error"))

    def test_what_callers_say_cannot_forge_lines_of_the_log(self):
        with Engine(self.folder, "--log-level", "debug") as one:
            one.curl("/v1/detectors/a%0A%7B%22message%22%3A%22forged%22%7D%1B%5B31m")
            one.await_line("call")
            self.assertEqual(one.stop(), 0)
            self.assertEqual(one.lines("forged"), [])
            self.assertNotIn("\x1b", one.log_path.read_text())

    def test_an_address_that_is_taken_is_told_with_code_3(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for setting in ("grpc_listen", "http_listen"):
                flag = "--" + setting.replace("_", "-")
                one = Engine(self.folder, flag, address)
                self.assertEqual(one.end(), 3)
                error = one.lines("cannot start")[-1]
                self.assertEqual(error["level"], "error")
                self.assertIn(setting, error["error"])
                self.assertIn(address, error["error"])
                self.assertFalse(one.port_file.exists())

    def test_an_address_for_others_needs_tokens_or_allow_anonymous(self):
        one = Engine(self.folder, "--grpc-listen", "0.0.0.0:0")
        self.assertEqual(one.end(), 2)
        self.assertIn("allow_anonymous", one.lines("cannot start")[0]["error"])
        with Engine(self.folder, "--grpc-listen", "0.0.0.0:0", "--allow-anonymous") as one:
            self.assertTrue(
                [line for line in one.lines() if line["level"] == "warning" and "anybody" in line["message"]]
            )
            self.assertEqual(one.stop(), 0)

    def test_a_state_folder_has_one_engine(self):
        with Engine(self.folder) as one:
            ports = one.port_file.read_text()
            two = Engine(self.folder, "--port-file", self.folder / "other.json")
            self.assertEqual(two.end(), 3)
            self.assertIn("state", two.lines("cannot start")[-1]["error"])
            self.assertEqual(one.port_file.read_text(), ports)
            self.assertEqual(one.stop(), 0)

    def test_text_is_for_people(self):
        with Engine(self.folder, log_format="text") as one:
            self.assertEqual(one.stop(), 0)
        self.assertRegex(one.log_path.read_text(), re.compile(r"Z info    listening grpc=127\.0\.0\.1:\d+ http=", re.M))

    def test_the_service_manager_is_told(self):
        path = self.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(30)
            with Engine(self.folder, environment={"NOTIFY_SOCKET": str(path)}) as one:
                self.assertIn(b"READY=1", manager.recv(4096).split(b"\n"))
                one.signal(signal.SIGTERM)
                self.assertIn(b"STOPPING=1", manager.recv(4096).split(b"\n"))
                self.assertEqual(one.end(), 0)

    def test_descriptors_are_raised_and_too_few_of_them_are_told(self):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
            with Engine(self.folder, "--max-connections", 1000000) as one:
                limits = pathlib.Path(f"/proc/{one.process.pid}/limits").read_text()
                self.assertRegex(limits, rf"Max open files\s+{hard}\s+{hard}")
                expected = 1 if hard < 1000000 + 256 else 0
                self.assertEqual(len([x for x in one.lines() if "file descriptors" in x["message"]]), expected)
                self.assertEqual(one.stop(), 0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Ending(TestCase):
    def large(self) -> str:
        (self.folder / "models").mkdir(exist_ok=True)
        large_model(self.folder / "models/large.safetensors", LARGE)
        return "large.safetensors"

    @staticmethod
    def await_reading(events):
        """Until the verification has begun to read, and so was accepted."""
        for event in events:
            if event == b"\x0a\x02\x08\x02":  # progress { stage: STAGE_READING }
                return
        raise AssertionError("no progress was told")

    def test_work_that_was_accepted_is_answered(self):
        path = self.large()
        for number in (signal.SIGTERM, signal.SIGINT):
            with Engine(self.folder) as one, one.channel() as channel:
                events = verify(channel, path)
                self.await_reading(events)
                one.signal(number)
                one.await_line("draining")
                last = list(events)[-1]
                self.assertEqual(last[0], 0x12, "the verdict")
                self.assertEqual(one.end(), 0)
                self.assertEqual(one.lines()[-1]["level"], "info")

    def test_health_says_so_first_and_everything_is_still_accepted_meanwhile(self):
        with Engine(self.folder, "--lame-duck-ms", 4000) as one, one.channel() as channel:
            self.assertEqual(health(channel), 1)
            one.signal(signal.SIGTERM)
            await_that("readyz", lambda: one.curl("/readyz")[0] == 503)
            self.assertEqual(health(channel), 2)
            self.assertEqual(one.curl("/healthz")[0], 200, "alive: not to be killed")
            self.assertEqual(one.curl("/v1/detectors")[0], 200)
            self.assertIsNone(one.process.poll())
            self.assertEqual(one.end(), 0)

    def test_nothing_new_is_accepted_while_draining(self):
        path = self.large()
        with Engine(self.folder) as one, one.channel() as channel:
            events = verify(channel, path)
            self.await_reading(events)
            one.signal(signal.SIGTERM)
            one.await_line("draining")

            # Existing connections are told; new ones find nobody.
            def refused():
                try:
                    list(verify(channel, path))
                except grpc.RpcError as error:
                    return error.code() == grpc.StatusCode.UNAVAILABLE
                return False

            await_that("a refusal", refused)
            self.assertEqual(list(events)[-1][0], 0x12)
            self.assertEqual(one.end(), 0)

    def test_what_is_not_done_in_time_is_cancelled_with_code_3(self):
        path = self.large()
        with Engine(self.folder, "--drain-ms", 0) as one, one.channel() as channel:
            events = verify(channel, path)
            self.await_reading(events)
            one.signal(signal.SIGTERM)
            with self.assertRaises(grpc.RpcError):
                list(events)
            self.assertEqual(one.end(), 3)
            self.assertEqual(one.lines()[-1]["level"], "warning")

    def test_a_second_signal_ends_it_at_once(self):
        with Engine(self.folder, "--lame-duck-ms", 600000) as one:
            one.signal(signal.SIGTERM)
            one.await_line("draining")
            one.signal(signal.SIGTERM)
            self.assertEqual(one.end(), 128 + signal.SIGTERM)

    def test_an_idle_connection_does_not_hold_it_up(self):
        with Engine(self.folder) as one:
            idle = [socket.create_connection(("127.0.0.1", port)) for port in (one.grpc_port, one.http_port) * 3]
            self.assertEqual(one.curl("/healthz")[0], 200)
            self.assertEqual(one.stop(), 0)
            for connection in idle:
                connection.close()

    def test_it_survives_a_client_that_resets_and_a_hangup(self):
        with Engine(self.folder) as one:
            for port in (one.grpc_port, one.http_port):
                connection = socket.create_connection(("127.0.0.1", port))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
                connection.close()
            one.signal(signal.SIGHUP)
            one.await_line("read tokens and certificates again")
            self.assertEqual(one.curl("/readyz")[0], 200)
            self.assertEqual(one.stop(), 0)


if __name__ == "__main__":
    engine.main(__name__)
