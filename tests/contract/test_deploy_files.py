"""Prometheus, Alertmanager, Grafana and Vector find what the compose file gives them."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.observability import ALERTS, tool

COMPOSE: dict[str, Any] = yaml.safe_load(Path("docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def read(path: str) -> Any:
    return yaml.safe_load(Path("deploy", path).read_text("utf-8"))


def test_promtool_accepts_the_files() -> None:
    checked = tool("promtool", "check", "config", "deploy/prometheus/prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alertmanager_reads_slack_s_address_where_compose_puts_it() -> None:
    [secret] = SERVICES["alertmanager"]["secrets"]
    assert secret in COMPOSE["secrets"]
    files = [
        slack["api_url_file"]
        for receiver in read("alertmanager/alertmanager.yml")["receivers"]
        for slack in receiver.get("slack_configs", ())
    ]
    assert files == [f"/run/secrets/{secret}"]


def test_prometheus_asks_services_at_the_ports_that_they_have() -> None:
    jobs = {job["job_name"]: job for job in read("prometheus/prometheus.yml")["scrape_configs"]}
    asked = {
        (name, where["port"])
        for job in jobs.values()
        for where in job.get("dns_sd_configs", ())
        for name in where["names"]
    }
    ours = {("api", 8000), ("flower", 5555), ("vllm-slm", 8000), ("vllm-mlm", 8000)}
    others = {("node-exporter", 9100), ("dcgm-exporter", 9400)}
    assert asked == ours | others
    assert "127.0.0.1:9100/" in SERVICES["node-exporter"]["healthcheck"]["test"][-1]
    for name, port in ours:
        published = SERVICES[name].get("ports", ())
        served = [f"--port={port}" in SERVICES[name].get("command", ())]
        assert any(each.endswith(f":{port}") for each in published) or any(served)


def test_prometheus_loads_the_rules_and_tells_the_alertmanager() -> None:
    configured = read("prometheus/prometheus.yml")
    for file in configured["rule_files"]:
        assert read(f"prometheus/{file}")["groups"]
    targets = configured["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert targets == ["alertmanager:9093"]
    assert "127.0.0.1:9093}:9093" in SERVICES["alertmanager"]["ports"][0]


def test_every_job_of_prometheus_is_missed_when_it_does_not_answer() -> None:
    """By name: in a cluster the same Prometheus scrapes others' things."""
    jobs = [job["job_name"] for job in read("prometheus/prometheus.yml")["scrape_configs"]]
    assert ALERTS["TargetDown"]["expr"] == f'up{{job=~"{"|".join(jobs)}"}} == 0'


def test_every_route_of_the_alertmanager_ends_at_a_receiver() -> None:
    configured = read("alertmanager/alertmanager.yml")
    receivers = {receiver["name"] for receiver in configured["receivers"]}
    routes = [configured["route"], *configured["route"]["routes"]]
    assert {route["receiver"] for route in routes} == receivers


def test_grafana_asks_the_prometheus_of_the_compose_file() -> None:
    source = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    provisioning = SERVICES["grafana"]["environment"]["GF_PATHS_PROVISIONING"]
    assert provisioning == f"{mounted['./deploy/grafana']}/provisioning"
    provider = read("grafana/provisioning/dashboards/callytics.yaml")["providers"][0]
    assert provider["options"]["path"] == f"{mounted['./deploy/grafana']}/dashboards"


def test_vector_takes_this_project_s_lines_and_sends_them_on() -> None:
    configured = read("vector/vector.yaml")
    flow = {
        name: each["type"]
        for kind in ("sources", "transforms", "sinks")
        for name, each in configured[kind].items()
    }
    assert flow == {"containers": "file", "lines": "remap", "elasticsearch": "elasticsearch"}
    assert configured["transforms"]["lines"]["inputs"] == ["containers"]
    assert configured["sinks"]["elasticsearch"]["inputs"] == ["lines"]
    assert f'!= "{COMPOSE["name"]}"' in configured["transforms"]["lines"]["source"]
    labels = SERVICES["api"]["logging"]["options"]["labels"].split(",")
    assert set(
        re.findall(r'attrs\."([a-z.]+)"', configured["transforms"]["lines"]["source"])
    ) == set(labels)


def test_vector_finds_its_variables_folders_and_logs() -> None:
    text = Path("deploy/vector/vector.yaml").read_text("utf-8")
    assert set(re.findall(r"\$\{([A-Z_]+)\}", text)) <= set(SERVICES["vector"]["environment"])
    mounted = {volume.rpartition(":ro")[0] or volume for volume in SERVICES["vector"]["volumes"]}
    folders = {volume.rpartition(":")[2] for volume in mounted}
    configured = yaml.safe_load(text)
    assert configured["data_dir"] in folders
    for pattern in configured["sources"]["containers"]["include"]:
        assert any(pattern.startswith(folder) for folder in folders)
