"""Real Prometheus and Alertmanager, with this project's own files, and a webhook that stands for Slack's."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml

from callytics.embedded.process import Process, free_port, running

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yml"
ALERTS: Mapping[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    for rule in group["rules"]
}
ALERTMANAGER = ROOT / "deploy/alertmanager"
FETCHED = ROOT / ".observability/usr/bin"
"""By deploy/observability.sh, where they are not installed."""

TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")
"""Debian's Alertmanager reads them from there, wherever its program lies."""

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
}


def binary(name: str) -> str:
    """Where the program is; a test that needs it is skipped where it is not."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{FETCHED}")
    if found is None or (name == "prometheus-alertmanager" and not TEMPLATES.exists()):
        pytest.skip(
            f"{name} is not here: Debian's package {PACKAGES[name]} (deploy/observability.sh)"
        )
    return found


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """One run of `promtool` or `amtool`."""
    command = [binary(name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@dataclass
class SlackWebhook:
    """What came to the address that stands for Slack's."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    def about(self, alert: str) -> list[dict[str, Any]]:
        return [
            attachment
            for message in self.messages
            for attachment in message["attachments"]
            if f": {alert}" in attachment["title"]
        ]


@contextmanager
def slack() -> Iterator[SlackWebhook]:
    hook = SlackWebhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.messages.append(json.loads(body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}/services/T000/B000/secret"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True, kw_only=True)
class Observer:
    """The HTTP APIs of a Prometheus (none: only Alertmanager runs) and an Alertmanager."""

    prometheus: str = ""
    alertmanager: str

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of `expr` now; fails where Prometheus does not take it."""
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": expr}, timeout=20)
        found: dict[str, Any] = answer.json()
        assert found["status"] == "success", (expr, found.get("error"))
        assert not found.get("warnings"), (expr, found["warnings"])
        series: list[dict[str, Any]] = found["data"]["result"]
        return series

    def firing(self) -> set[str]:
        series = self.query('ALERTS{alertstate="firing"}')
        return {one["metric"]["alertname"] for one in series}

    def post(
        self, *alerts: Mapping[str, str], said: Mapping[str, str] | None = None, over: bool = False
    ) -> None:
        """Have Alertmanager believe that these fire, each given by its labels, or are `over`."""
        ends = {"endsAt": datetime.now(UTC).isoformat()} if over else {}
        told = [{"labels": labels, "annotations": said or {}, **ends} for labels in alerts]
        url = f"{self.alertmanager}/api/v2/alerts"
        httpx.post(url, json=told, timeout=20).raise_for_status()

    def inhibited(self) -> dict[str, bool]:
        """Whether each alert is left unsaid, by name."""
        alerts = httpx.get(f"{self.alertmanager}/api/v2/alerts", timeout=20).json()
        return {
            alert["labels"]["alertname"]: bool(alert["status"]["inhibitedBy"]) for alert in alerts
        }


@contextmanager
def alertmanager(directory: Path, webhook: str) -> Iterator[Observer]:
    """One with the shipped configuration, but for the waits, and that tells `webhook`."""
    directory.mkdir()
    secret = directory / "slack-webhook"
    secret.write_text(webhook)
    shutil.copy(ALERTMANAGER / "slack.tmpl", directory)
    config = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text("utf-8"))
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        for slack_config in receiver.get("slack_configs", ()):
            slack_config["api_url_file"] = str(secret)
    (directory / "alertmanager.yml").write_text(yaml.safe_dump(config), "utf-8")
    port = free_port()
    process = _listening(
        "prometheus-alertmanager",
        port,
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    with running(process, directory / "log", timeout_s=60):
        yield Observer(alertmanager=f"http://127.0.0.1:{port}")


@contextmanager
def observed(directory: Path, webhook: str, target: str) -> Iterator[Observer]:
    """Prometheus with the shipped rules, asking the API at `target` and a node_exporter every second,
    beside an Alertmanager.
    """
    directory.mkdir()
    node, port = free_port(), free_port()
    with (
        alertmanager(directory / "alertmanager", webhook) as watcher,
        running(
            _listening(
                "prometheus-node-exporter", node, f"--web.listen-address=127.0.0.1:{node}", at="/"
            ),
            directory / "node.log",
        ),
    ):
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "alerting": {"alertmanagers": [_fixed(watcher.alertmanager.partition("//")[2])]},
            "scrape_configs": [
                {"job_name": "callytics", **_fixed(target)},
                {"job_name": "node", **_fixed(f"127.0.0.1:{node}")},
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        prometheus = _listening(
            "prometheus",
            port,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        )
        with running(prometheus, directory / "log", timeout_s=60):
            url = f"http://127.0.0.1:{port}"
            yield Observer(prometheus=url, alertmanager=watcher.alertmanager)


def _fixed(target: str) -> dict[str, Any]:
    return {"static_configs": [{"targets": [target]}]}


def _listening(name: str, port: int, *options: str, at: str = "/-/ready") -> Process:
    """The program, ready once it answers `at`."""
    return Process(
        name=name,
        command=[binary(name), *options],
        ready=lambda _pid: httpx.get(f"http://127.0.0.1:{port}{at}").is_success,
    )
