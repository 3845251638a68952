"""examples/kubernetes: valid, and about flags, paths and metrics that there are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import __version__
from reconciler.adapters.git.checkout import Checkout
from reconciler.adapters.git.program import git_in
from reconciler.adapters.loop.metrics import Metrics
from reconciler.adapters.loop.pulse import Pulse
from reconciler.adapters.loop.webhook import Webhook
from reconciler.api.looping import Hub, served_paths
from reconciler.cli.run import run_command
from reconciler.model.errors import StateError
from reconciler.model.plan import ActionKind, Plan
from reconciler.model.rounds import Round, RoundEnded, RoundResult, Verdict, Why

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "kubernetes"
DOCUMENTS = {item["kind"]: item for item in yaml.safe_load_all((EXAMPLES / "deployment.yaml").read_text())}
POD: Any = DOCUMENTS["Deployment"]["spec"]["template"]["spec"]
CONTAINER: Any = POD["containers"][0]


def metrics() -> Metrics:
    """With every metric that there is."""
    made = Metrics(lambda: 1.0)
    done = Round(project="p", folder="p", result=RoundResult.UNCHANGED, why=Why.START, plan=Plan(actions=()))
    made.heard(RoundEnded(done, 0, None))
    return made


def test_every_resource_is_held_against_its_schema() -> None:
    done = subprocess.run(
        [
            Path(sys.executable).parent / "kubernetes-validate",
            "--strict",
            EXAMPLES / "deployment.yaml",
        ],
        text=True,
        capture_output=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count("passed for resource") == len(DOCUMENTS) == 6


def test_the_commands_options_exist_and_mean_what_the_files_around_them_say() -> None:
    name, *options = CONTAINER["args"]
    assert name == run_command.name
    given = run_command.make_context(name, list(options)).params
    assert given["auto_approve"]
    assert given["log_format"] == "json"
    assert given["listen"] == ("0.0.0.0", CONTAINER["ports"][0]["containerPort"])
    mounts = {item["mountPath"]: item["name"] for item in CONTAINER["volumeMounts"]}
    volumes = {item["name"]: item for item in POD["volumes"]}
    assert volumes.keys() == set(mounts.values())
    for option in ("webhook_secret_file", "pause_file"):
        assert str(given[option].parent) in mounts
    assert mounts[str(given["git_into"].parent)] == "work"
    assert volumes["pause"]["configMap"]["optional"] is True


def test_the_probes_ask_for_what_is_answered() -> None:
    pulse = Pulse((".",), lambda: 0.0, lambda: False)
    webhook = Webhook(lambda: (), lambda: 0.0)
    paths = served_paths(pulse, metrics(), webhook, Hub(), lambda _: None)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert paths[CONTAINER[probe]["httpGet"]["path"]].method == "GET"
    [there] = DOCUMENTS["Ingress"]["spec"]["rules"][0]["http"]["paths"]
    assert (there["pathType"], paths[there["path"]].method) == ("Exact", "POST")
    monitor = yaml.safe_load((EXAMPLES / "podmonitor.yaml").read_text())
    assert monitor["spec"]["podMetricsEndpoints"][0]["path"] in paths


def test_a_pod_may_do_nothing_that_it_need_not() -> None:
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["automountServiceAccountToken"] is False
    assert CONTAINER["resources"]["limits"]["memory"]


def test_whoever_is_selected_is_there() -> None:
    labels = DOCUMENTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    monitor = yaml.safe_load((EXAMPLES / "podmonitor.yaml").read_text())
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert DOCUMENTS[kind]["spec"]["selector"]["matchLabels"] == labels
    assert DOCUMENTS["Service"]["spec"]["selector"] == labels
    assert DOCUMENTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert monitor["spec"]["selector"]["matchLabels"] == labels


def test_the_image_has_this_version_and_what_the_options_need() -> None:
    text = (EXAMPLES / "Dockerfile").read_text()
    assert re.findall(r"batch-reconciler\[postgres,run\]==([^\s']+)", text) == [__version__]
    assert CONTAINER["image"].rpartition(":")[2] == __version__


def test_the_token_reaches_the_remote_by_gits_own_means(tmp_path: Path) -> None:
    given = DOCUMENTS["ConfigMap"]["data"] | {"GIT_TOKEN": "the-token", "HOME": str(tmp_path)}
    heard: list[str | None] = []

    class Closed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_response(401 if heard[-1] is None else 403)
            self.send_header("WWW-Authenticate", "Basic realm=git")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            del words

    with HTTPServer(("127.0.0.1", 0), Closed) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        environ = {"PATH": os.environ["PATH"], "NO_PROXY": "*"} | given
        folder = tmp_path / "checkout"
        remote = f"http://127.0.0.1:{server.server_port}/acme/documents.git"
        checkout = Checkout(git_in(folder, environ), folder, remote, "main")
        with pytest.raises(StateError) as raised:
            checkout.update()
        checkout.close()
        server.shutdown()
        thread.join()
    assert heard == [None, "Basic " + b64encode(b"oauth2:the-token").decode()]
    assert "the-token" not in str(raised.value)
    config = (folder / ".git" / "config").read_text()
    assert "the-token" not in config


RULES = [
    rule
    for group in yaml.safe_load((EXAMPLES / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_alert_is_about_metrics_that_there_are(rule: dict[str, Any]) -> None:
    text = metrics().shown("")[0].decode()
    names = set(re.findall(r"\breconciler_\w+", rule["expr"]))
    assert names
    assert {name for name in names if not re.search(rf"^{name}[ {{]", text, re.MULTILINE)} == set()
    words: dict[str, set[str]] = {
        "result": {item.value for item in RoundResult},
        "action": {item.value for item in ActionKind},
        "verdict": {item.value for item in Verdict},
    }
    for label, value in re.findall(r"\{(\w+)=\"([^\"]+)\"\}", rule["expr"]):
        assert value in words[label]


def test_the_page_tells_of_each_metric_each_result_and_each_alert() -> None:
    page = (ROOT / "docs" / "loop.md").read_text()
    shown = re.findall(r"^# TYPE (reconciler_\w+)", metrics().shown("")[0].decode(), re.MULTILINE)
    assert [name for name in shown if f"`{name}`" not in page and f"`{name}{{" not in page] == []
    words = [item.value for item in RoundResult] + [item.value for item in Verdict]
    assert [word for word in words if f"`{word}`" not in page] == []
    assert [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in page] == []
