"""What can be set in the chart is explained, and what cannot is refused with a sentence."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.submission import FORM_BYTES
from callytics.settings import ApiSettings, AudioSettings
from tests.support.chart import (
    BUCKET,
    CHART,
    SETS,
    Object,
    Values,
    container,
    of_kind,
    pods,
    refusal,
    values_of,
)

GUIDE = Path("docs/kubernetes.md").read_text("utf-8")


NONSENSE: Mapping[str, tuple[Values, str]] = {
    "a word that does not exist": ({"replicaCount": 3}, "replicaCount"),
    "no place for recordings": ({"audio": {"url": ""}}, "Say where recordings lie"),
    "a place that is no address": ({"audio": {"url": "recordings"}}, "/audio/url"),
    "a secret among the settings": (
        {"settings": {"CALLYTICS_DATABASE_URL": "postgresql://u:hunter2@h/d"}},
        "CALLYTICS_DATABASE_URL is a secret: put it into the Secret callytics",
    ),
    "a secret of one worker": (
        {"workers": {"slm": {"env": {"CALLYTICS_PROVIDERS__OPENAI__API_KEY": "k"}}}},
        "CALLYTICS_PROVIDERS__OPENAI__API_KEY is a secret",
    ),
    "a password in an address": (
        {"settings": {"CALLYTICS_REDIS_URL": "redis://:hunter2@redis:6379/0"}},
        "CALLYTICS_REDIS_URL is a secret",
    ),
    "a key in a word of JSON": (
        {"settings": {"CALLYTICS_PROVIDERS": '{"openai": {"api_key": "hunter2"}}'}},
        "CALLYTICS_PROVIDERS is a secret",
    ),
    "no summary at times": (
        {"workers": {"slm": {"scaling": {"min": 0}}}},
        "/workers/slm/scaling/min",
    ),
    "no sweeper": ({"workers": {"control": {"replicas": 0}}}, "/workers/control/replicas"),
    "a queue that does not exist": ({"workers": {"video": {}}}, "video"),
    "a variant of what has no model": (
        {"variants": [{"queue": "audio", "name": "v2", "model": {"model": "x"}}]},
        "/variants/0/queue",
    ),
    "a variant called as the first": (
        {"variants": [{"queue": "stt", "name": "v1", "model": {"model": "x"}}]},
        "v1 of stt is what workers.stt runs",
    ),
    "a variant twice": (
        {"variants": [{"queue": "stt", "name": "v2", "model": {"model": "x"}}] * 2},
        "stt.v2 is there twice",
    ),
    "a name that a pod's would not fit in": ({"nameOverride": "c" * 40}, "is too long"),
    "more than the most": (
        {"keda": {"enabled": True}, "workers": {"stt": {"scaling": {"min": 9}}}},
        "scaling.min (9) is above scaling.max (4)",
    ),
    "an ingress without a name": ({"ingress": {"enabled": True}}, "/ingress/host"),
    "an ingress that shows the metrics": (
        {"ingress": {"enabled": True, "host": "callytics.example", "paths": ["/"]}},
        "/ would show /metrics",
    ),
    "an alert that does not exist": (
        {"monitoring": {"rules": True, "without": ["Watchdogs"]}},
        "monitoring.without: there is no alert Watchdogs",
    ),
    "a number that is none": ({"api": {"replicas": "two"}}, "/api/replicas"),
}


@pytest.mark.parametrize(("values", "told"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused_with_a_sentence_that_names_it(values: Values, told: str) -> None:
    said = refusal(values)
    assert told in said
    assert "hunter2" not in said


def test_every_value_is_explained() -> None:
    lines = (CHART / "values.yaml").read_text("utf-8").splitlines()
    for index, line in enumerate(lines):
        if name := re.match(r"([a-zA-Z]+):", line):
            assert lines[index - 1].startswith("#"), name[1]


def test_the_chart_has_the_version_of_the_package() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == project["version"]


def test_what_the_guide_sets_can_be_set() -> None:
    values: dict[str, Any] = {}
    for path, said in re.findall(r"--set ([\w.]+)=(\S+?)[`\s]", GUIDE):
        *folders, name = path.split(".")
        node = values
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = yaml.safe_load(said)
    assert {"image", "secret", "trial", "workers"} <= set(values)
    assert refusal(values) == ""


CALLS = yaml.safe_load(
    re.findall(r"^```yaml\n# calls.yaml\n(.+?)^```", GUIDE, re.DOTALL | re.MULTILINE)[0]
)


@pytest.mark.parametrize(("below", "preset"), [("", "production"), ("values-cpu.yaml", "offline")])
def test_the_guide_s_values_leave_the_preset_to_what_they_go_on(below: str, preset: str) -> None:
    """Later files win."""
    under: dict[str, Any] = dict(values_of(below)) if below else {}
    values = {
        **under,
        **CALLS,
        "settings": {**under.get("settings", {}), **CALLS.get("settings", {})},
    }
    told = of_kind(values, "ConfigMap")["settings"]["data"]
    assert told["CALLYTICS_PRESET"] == preset


def test_the_proxies_of_the_guides_take_what_the_api_takes_and_wait_as_long() -> None:
    largest, longest = AudioSettings().max_bytes + FORM_BYTES, ApiSettings().wait_timeout_s
    compose = Path("docs/deployment.md").read_text("utf-8")
    said = CALLS["ingress"]["annotations"]
    for size, seconds in (
        re.findall(
            r"client_max_body_size (\w+)m;.*?proxy_read_timeout (\d+)s;", compose, re.DOTALL
        )[0],
        (
            said["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m"),
            said["nginx.ingress.kubernetes.io/proxy-read-timeout"],
        ),
    ):
        assert int(size) * 2**20 == largest
        assert int(seconds) > longest


def test_the_guide_names_every_key_of_the_secret() -> None:
    keys = {
        one["valueFrom"]["secretKeyRef"]["key"]
        for values in (SETS["default"], SETS["everything"])
        for _, pod in pods(values)
        for one in container(pod).get("env", ())
        if "valueFrom" in one
    }
    assert {key for key in keys if f"`{key}`" not in GUIDE} == set()


def test_a_changed_setting_or_secret_replaces_the_pods() -> None:
    def told(values: Values) -> Sequence[Object]:
        own = [
            pod["metadata"].get("annotations") for name, pod in pods(values) if name != "migrate"
        ]
        return [found for found in own if found]

    before = told(BUCKET)
    for change in ({"settings": {"CALLYTICS_LOG_LEVEL": "debug"}}, {"secret": {"revision": "2"}}):
        changed = [old != new for old, new in zip(before, told({**BUCKET, **change}), strict=True)]
        # vLLM reads no setting.
        assert changed.count(False) == (2 if "settings" in change else 0)
