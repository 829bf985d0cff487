"""The chart as Kubernetes would be given it.

Helm is a library in Go, whose threads and signal handlers stay out of the tests' process: `python -m
tests.support.chart` renders, and the functions here ask it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from callytics.domain.routes import Lane

CHART = Path("deploy/helm/callytics")
Values: TypeAlias = Mapping[str, Any]
Object: TypeAlias = dict[str, Any]

BUCKET: Values = {"audio": {"url": "s3://recordings/calls"}}
"""The one value that has no default."""


def values_of(file: str) -> Values:
    said: Values = yaml.safe_load((CHART / file).read_text("utf-8"))
    return {**BUCKET, **said}


SETS: Mapping[str, Values] = {
    "default": BUCKET,
    "cpu": values_of("values-cpu.yaml"),
    "everything": values_of("ci/everything-values.yaml"),
}


def render(values: Values) -> Sequence[Object]:
    """The objects of a first installation as `callytics` in the namespace `calls`."""
    answer = _ask(json.dumps({"render": values}))
    assert "refused" not in answer, answer
    objects: Sequence[Object] = answer["objects"]
    return objects


def refusal(values: Values) -> str:
    """Why Helm does not render; empty: it does."""
    said: str = _ask(json.dumps({"render": {**BUCKET, **values}})).get("refused", "")
    return said


def lint(values: Values) -> Sequence[Mapping[str, Any]]:
    messages: Sequence[Mapping[str, Any]] = _ask(json.dumps({"lint": values}))["messages"]
    return messages


def of_kind(values: Values, *kinds: str) -> Mapping[str, Object]:
    """By component, which is what a name ends with."""
    found = [one for one in render(values) if one["kind"] in kinds]
    return {one["metadata"]["name"].removeprefix("callytics-"): one for one in found}


def pods(values: Values) -> Iterator[tuple[str, Object]]:
    """The template of each pod, by component."""
    for one in render(values):
        spec = one.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield one["metadata"]["labels"]["app.kubernetes.io/component"], spec["template"]


def container(pod: Object) -> Object:
    (only,) = pod["spec"]["containers"]
    found: Object = only
    return found


def environment(pod: Object) -> Mapping[str, Any]:
    return {one["name"]: one.get("value") for one in container(pod).get("env", ())}


def lanes(values: Values) -> Mapping[str, Lane]:
    """What each worker serves, by component."""
    told = {name: container(pod).get("args", []) for name, pod in pods(values)}
    return {name: Lane.parse(args[2]) for name, args in told.items() if args[:1] == ["worker"]}


@cache
def _ask(question: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.chart"],
        input=question,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def _answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
    import helm_python  # noqa: PLC0415 (85 MB, and only here)

    if "lint" in question:
        return helm_python.lint(CHART, dict(question["lint"]), strict=True)
    try:
        with helm_python.Chart.load(CHART) as chart:
            files = chart.render(question["render"], name="callytics", namespace="calls")
    except helm_python.HelmError as error:
        return {"refused": str(error)}
    texts = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
    return {"objects": [found for text in texts for found in yaml.safe_load_all(text) if found]}


if __name__ == "__main__":
    print(json.dumps(_answer(json.load(sys.stdin))))  # noqa: T201
