"""What deploy/ holds fits the program: settings, metrics, probes, ports and times."""

import json
import pathlib
import re
import shutil
import subprocess

import numpy
import yaml
from sklearn.ensemble import IsolationForest

import engine
from access_test import certificate
from driftseal.import_sklearn import export
from engine import ROOT, Engine, TestCase, run

DEPLOY = ROOT / "deploy"


class Settings(TestCase):
    def overrides(self) -> list:
        """Flags for the files that an installation has and this machine does not."""
        run("token", "a", "--scope", "score", "--tokens-file", self.folder / "tokens")
        cert, key = certificate(self.folder, "server")
        return [
            "--artifact-root",
            self.folder,
            "--state-dir",
            self.folder / "state",
            "--model-dir",
            self.folder / "none",
            "--tokens-file",
            self.folder / "tokens",
            "--tls-cert",
            cert,
            "--tls-key",
            key,
        ]

    def check_toml(self, text: str):
        path = self.folder / "engine.toml"
        path.write_text(text)
        self.check(run("serve", "--config", path, "--check-config", *self.overrides()), 0)
        return self.check(run("serve", "--config", path, "--print-config"), 0).stdout

    def test_the_example_is_good(self):
        text = (DEPLOY / "driftseal.toml").read_text()
        printed = self.check_toml(text)
        for line in re.findall(r"^\w+ = .*$", text, re.MULTILINE):
            self.assertIn(f"\n{line}\n", "\n" + printed)

    def test_what_the_example_has_as_comments_are_settings_with_their_defaults(self):
        text = (DEPLOY / "driftseal.toml").read_text()
        commented = re.findall(r"^#(\w+ = .*)$", text, re.MULTILINE)
        self.assertGreater(len(commented), 5)
        defaults = self.check(run("serve", "--print-config"), 0).stdout
        for line in commented:
            if not line.startswith("tls_client_ca"):
                self.assertIn(f"\n{line}\n", defaults)
        self.check_toml(re.sub(r"^#(?=\w+ = )(?!tls_client_ca)", "", text, flags=re.MULTILINE))

    def test_kubernetes_fits_together(self):
        documents = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
        self.assertEqual(set(documents), {"ConfigMap", "Secret", "PersistentVolumeClaim", "Deployment", "Service"})
        settings = self.check_toml(documents["ConfigMap"]["data"]["driftseal.toml"])
        value = lambda name: re.search(rf"^{name} = (.*)$", settings, re.MULTILINE)[1].strip('"')  # noqa: E731
        pod = documents["Deployment"]["spec"]["template"]
        container = pod["spec"]["containers"][0]
        ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
        self.assertEqual(value("grpc_listen").split(":")[1], ports["grpc"])
        self.assertEqual(value("http_listen").split(":")[1], ports["https"])
        self.assertEqual(pod["metadata"]["annotations"]["prometheus.io/port"], ports["https"])
        drain = (int(value("lame_duck_ms")) + int(value("drain_ms"))) / 1000
        self.assertGreater(pod["spec"]["terminationGracePeriodSeconds"], drain)
        probe = container["readinessProbe"]
        self.assertGreater(int(value("lame_duck_ms")) / 1000, probe["periodSeconds"] * probe["failureThreshold"])
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        for name in ("artifact_root", "state_dir", "tokens_file", "tls_cert", "tls_key"):
            self.assertTrue(any(pathlib.PurePath(value(name)).is_relative_to(mount) for mount in mounts), name)
        self.assertEqual(
            {mount["name"] for mount in container["volumeMounts"]},
            {volume["name"] for volume in pod["spec"]["volumes"]},
        )
        config = container["args"][container["args"].index("--config") + 1]
        self.assertTrue(any(config.startswith(mount) for mount in mounts))
        self.assertEqual(documents["Service"]["spec"]["selector"], pod["metadata"]["labels"])
        self.assertEqual(documents["Deployment"]["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"])
        for port in documents["Service"]["spec"]["ports"]:
            self.assertIn(port["targetPort"], ports)
        # The file of tokens that it begins with lets nobody in, and is one that the engine takes.
        tokens = self.folder / "empty-tokens"
        tokens.write_text(documents["Secret"]["stringData"]["tokens"])
        tokens.chmod(0o440)
        (self.folder / "models").mkdir(exist_ok=True)
        self.check(
            run("serve", "--check-config", "--tokens-file", tokens, "--artifact-root", self.folder / "models"), 0
        )

    def test_the_units_times_fit_the_example(self):
        unit = (DEPLOY / "driftseal.service").read_text()
        toml = (DEPLOY / "driftseal.toml").read_text()
        value = lambda name: int(re.search(rf"^{name} = (\d+)$", toml, re.MULTILINE)[1])  # noqa: E731
        stop = int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[1])
        self.assertGreater(stop, (value("lame_duck_ms") + value("drain_ms")) / 1000)
        settings = self.check(run("serve", "--print-config"), 0).stdout
        connections = int(re.search(r"^max_connections = (\d+)$", settings, re.MULTILINE)[1])
        self.assertGreater(int(re.search(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)[1]), connections)


class Unit(TestCase):
    def test_systemd_finds_nothing_wrong(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("there is no systemd-analyze")
        unit = self.folder / "driftseal.service"
        unit.write_text(
            (DEPLOY / "driftseal.service").read_text().replace("/usr/local/bin/driftseal", engine.DRIFTSEAL)
        )
        result = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        result = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(result.returncode, 0, result.stdout[-400:])


def metrics_of(text: str) -> set[str]:
    """Names of an expression, those of a histogram's series as the histogram's."""
    names = set(re.findall(r"\b(?:driftseal|process)_\w+", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


class Metrics(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.expressions = [
            target["expr"]
            for panel in json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
            for target in panel.get("targets", [])
        ]
        rules = yaml.safe_load((DEPLOY / "prometheus-alerts.yaml").read_text())
        cls.expressions += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]

    def test_everything_that_is_drawn_or_alarmed_on_is_there(self):
        random = numpy.random.default_rng(1)
        rows = random.normal(size=(200, 2))
        forest = IsolationForest(n_estimators=10, random_state=1).fit(rows[:100])
        export(
            str(self.folder / "detector"),
            isolation_forest=forest,
            feature_names=["a", "b"],
            calibration_rows=rows[100:],
        )
        with Engine(self.folder) as one, one.channel() as channel:
            body = '{"family": "rows", "rows": {"cols": 2, "values": [0.1, 0.2]}}'
            self.assertEqual(one.curl("/v1/score", "--json", body)[0], 200)
            channel.unary_unary("/driftseal.v1.Detectors/List")(b"", timeout=20)
            drawn = set().union(*(metrics_of(expression) for expression in self.expressions))
            self.assertGreater(len(drawn), 15)
            text, missing = "", drawn
            for _ in range(100):  # A call is counted when it is over, which may be after its answer has arrived.
                text = one.curl("/metrics")[1]
                missing = drawn - set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
                if not missing:
                    break
            self.assertEqual(missing, set())
            self.assertEqual(one.stop(), 0)
        labels = {
            name: set(re.findall(r'(\w+)="', line)) for name, line in re.findall(r"^(\w+)\{(.*)\} ", text, re.MULTILINE)
        }
        for expression in self.expressions:
            for name, selector in re.findall(r"\b(driftseal_\w+)\{([^}]*)\}", expression):
                for label in set(re.findall(r'(\w+)\s*(?:=|!=|=~|!~)"', selector)) - {"instance", "job"}:
                    self.assertIn(label, labels.get(name, set()), expression)
            if match := re.search(r"sum by \((\w+)\) \(rate\((driftseal_\w+)", expression):
                self.assertIn(match[1], labels.get(match[2], set()) | {"instance", "le"}, expression)


if __name__ == "__main__":
    engine.main(__name__)
