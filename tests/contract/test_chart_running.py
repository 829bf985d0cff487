"""Pods are asked for health, scaled, emptied and watched by what exists."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.app import RESOURCES
from callytics.cli.health import Part
from callytics.settings import PipelineSettings
from tests.support.chart import (
    BUCKET,
    CHART,
    SETS,
    Values,
    container,
    lanes,
    of_kind,
    pods,
)
from tests.support.observability import ALERTS
from tests.support.promql import metrics_of

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))

each_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


@each_set
def test_what_is_asked_for_health_exists(values: Values) -> None:
    paths = {route.path for resource in RESOURCES for route in resource.router.routes}
    for component, pod in pods(values):
        asked = [
            container(pod).get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness")
        ]
        for probe in filter(None, asked):
            if "httpGet" in probe:
                known = {"flower": {"/healthcheck"}, "api": paths}.get(component, {"/health"})
                assert probe["httpGet"]["path"] in known
            elif component not in {"postgres", "valkey"}:
                command = probe["exec"]["command"]
                words = shlex.split(command[2]) if command[0] == "sh" else command
                assert words[:2] == ["callytics", "health"]
                assert words[2] in set(Part)
        assert asked[1] or component in {"migrate", "models"}


@each_set
def test_a_worker_is_ready_with_its_models_and_restarted_only_when_it_says_nothing(
    values: Values,
) -> None:
    for component, pod in pods(values):
        if component in lanes(values):
            ready, alive = (container(pod)[f"{one}Probe"] for one in ("readiness", "liveness"))
            assert ready["exec"]["command"] == ["callytics", "health", "worker"]
            assert alive["exec"]["command"][2] == (
                "callytics health worker --alive || test $? -eq 6"
            )


@pytest.mark.parametrize(
    ("fault", "lives"),
    [
        ({"CALLYTICS_DATABASE_URL": "postgresql+psycopg://u:p@127.0.0.1:1/x"}, True),
        ({"CALLYTICS_PIPELINE__LEASE_S": "long"}, False),
    ],
    ids=["database away", "wrong settings"],
)
def test_a_worker_is_not_restarted_while_its_database_is_away(
    tmp_path: Path, fault: Mapping[str, str], lives: bool
) -> None:
    probe = container(dict(pods(BUCKET))["worker-stt"])["livenessProbe"]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    asked = subprocess.run(
        probe["exec"]["command"],
        env={"PATH": path, "CALLYTICS_STATE_DIR": str(tmp_path), **fault},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (asked.returncode == 0) is lives


@each_set
def test_a_pod_has_time_to_finish_or_hand_back_its_stage(values: Values) -> None:
    settings = of_kind(values, "ConfigMap")["settings"]["data"]
    grace = float(settings.get("CALLYTICS_PIPELINE__STOP_GRACE_S", PipelineSettings().stop_grace_s))
    for component, pod in pods(values):
        if component in lanes(values):
            assert pod["spec"]["terminationGracePeriodSeconds"] >= grace + 10


def test_every_lane_is_scaled_by_what_is_to_do_in_it_and_by_its_oldest() -> None:
    metrics = {
        name
        for path in Path("api").glob("*.py")
        for name in re.findall(r'"([a-z_]+)"', path.read_text("utf-8"))
    }
    scaled = of_kind(SETS["everything"], "ScaledObject")
    assert set(scaled) == set(lanes(SETS["everything"]))
    for component, lane in lanes(SETS["everything"]).items():
        spec = scaled[component]["spec"]
        assert spec["scaleTargetRef"]["name"] == f"callytics-{component}"
        assert spec["minReplicaCount"] <= spec["maxReplicaCount"]
        assert spec["fallback"]["replicas"] >= 1
        load, oldest = (trigger["metadata"]["query"] for trigger in spec["triggers"])
        labels = rf'\{{queue="{re.escape(str(lane))}",namespace="calls"\}}'
        assert re.fullmatch(
            rf"max\(queue_length{labels}\) \+ max\(callytics_queue_running{labels}\)", load
        )
        assert re.fullmatch(rf"max\(callytics_queue_oldest_seconds{labels}\)", oldest)
        assert set(re.findall(r"max\((\w+)", load + oldest)) <= metrics
        assert all(
            trigger["metadata"]["ignoreNullValues"] == "false" for trigger in spec["triggers"]
        )


def test_a_worker_that_is_switched_off_is_so_with_keda_too() -> None:
    paused = "autoscaling.keda.sh/paused-replicas"
    for component, scaled in of_kind(SETS["everything"], "ScaledObject").items():
        told = scaled["metadata"].get("annotations", {}).get(paused)
        assert told == ("0" if component == "worker-diagnosis" else None)


def test_who_is_scaled_is_not_told_a_number_by_helm_too() -> None:
    for component, deployment in of_kind(SETS["everything"], "Deployment").items():
        scaled = component in lanes(SETS["everything"]) or component == "api"
        assert ("replicas" not in deployment["spec"]) is scaled


@each_set
def test_a_budget_lets_one_pod_go_at_a_time(values: Values) -> None:
    budgets = of_kind(values, "PodDisruptionBudget")
    assert {"api", "slm", "worker-slm"} <= set(budgets) <= set(of_kind(values, "Deployment"))
    assert all(budget["spec"]["maxUnavailable"] == 1 for budget in budgets.values())


def test_prometheus_knows_them_by_the_jobs_that_alerts_speak_of() -> None:
    compose = yaml.safe_load(Path("deploy/prometheus/prometheus.yml").read_text("utf-8"))
    jobs = {
        name.removeprefix("vllm-"): job["job_name"]
        for job in compose["scrape_configs"]
        for asked in job.get("dns_sd_configs", ())
        for name in asked["names"]
    }
    for component, monitor in of_kind(SETS["everything"], "ServiceMonitor").items():
        (endpoint,) = monitor["spec"]["endpoints"]
        wanted = [{"targetLabel": "job", "replacement": jobs[component]}]
        assert endpoint["relabelings"] == wanted


def test_prometheus_scrapes_services_that_exist_at_a_port_that_they_have() -> None:
    services = of_kind(SETS["everything"], "Service")
    monitors = of_kind(SETS["everything"], "ServiceMonitor")
    assert set(monitors) == {"api", "flower", "slm", "mlm"}
    for component, monitor in monitors.items():
        wanted = monitor["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= services[component]["metadata"]["labels"].items()
        ports = {port["name"] for port in services[component]["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
        assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_rules_and_dashboards_are_those_of_compose() -> None:
    everything = {
        **SETS["everything"],
        "monitoring": {**SETS["everything"]["monitoring"], "without": []},
    }
    rules = of_kind(everything, "PrometheusRule")["rules"]["spec"]
    assert rules == yaml.safe_load(Path("deploy/prometheus/rules.yml").read_text("utf-8"))
    dashboards = {
        name: text
        for one in of_kind(SETS["everything"], "ConfigMap").values()
        if one["metadata"]["labels"].get("grafana_dashboard")
        for name, text in one["data"].items()
    }
    files = Path("deploy/grafana").glob("dashboards/*.json")
    assert dashboards == {file.name: file.read_text("utf-8") for file in files}


def test_alerts_about_the_whole_cluster_are_the_cluster_s_own() -> None:
    groups = of_kind(SETS["everything"], "PrometheusRule")["rules"]["spec"]["groups"]
    there = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    assert set(ALERTS) - set(there) == {"Watchdog", "DiskFull", "DiskFilling"}
    for alert, expr in there.items():
        assert not any(metric.startswith("node_") for metric in metrics_of(expr)), alert
        assert all(re.findall(r"\bup\b(\{job[^}]*\})?", expr)), alert


def test_the_ingress_leads_to_all_of_the_api_but_its_metrics() -> None:
    paths = VALUES["ingress"]["paths"]
    for resource in RESOURCES:
        for route in resource.router.routes:
            path = route.path
            led = any(path == prefix or path.startswith(f"{prefix}/") for prefix in paths)
            assert led is (path != "/metrics"), path
