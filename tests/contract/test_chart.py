"""The Helm chart is valid and runs what the compose file runs."""

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from callytics.domain.routes import FIRST, MODEL_OF
from callytics.domain.stages import Queue
from callytics.model_files.catalog import CATALOG
from callytics.settings import PRESETS, ModelSettings
from tests.support import crds
from tests.support.chart import (
    CHART,
    SETS,
    Values,
    container,
    environment,
    lanes,
    lint,
    of_kind,
    pods,
    render,
)
from tests.support.images import targets
from tests.support.variables import is_setting

KUBERNETES = ("1.30", "1.37")
"""The oldest that Chart.yaml names, and the newest that was published."""

COMPOSE: dict[str, Any] = yaml.safe_load(Path("docker-compose.yml").read_text("utf-8"))["services"]
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))

each_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


@each_set
def test_helm_finds_nothing_to_object_to(values: Values) -> None:
    assert {message["error"] for message in lint(values)} <= {"icon is recommended"}


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_every_object(version: str) -> None:
    objects = {json.dumps(one): one for values in SETS.values() for one in render(values)}
    for one in objects.values():
        if one["kind"] in crds.KINDS:
            crds.check(one)
        else:
            kubernetes_validate.validate(one, version, strict=True)


def test_the_oldest_kubernetes_is_the_one_that_the_chart_asks_for() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["kubeVersion"] == f">={KUBERNETES[0]}.0-0"


def test_the_validators_refuse_a_field_that_does_not_exist() -> None:
    scaled, deployment = (
        json.loads(json.dumps(next(iter(of_kind(SETS["everything"], kind).values()))))
        for kind in ("ScaledObject", "Deployment")
    )
    scaled["spec"]["maxReplicas"] = 1
    deployment["spec"]["template"]["spec"]["graceSeconds"] = 1
    with pytest.raises(ValueError, match="maxReplicas"):
        crds.check(scaled)
    with pytest.raises(kubernetes_validate.ValidationError, match="graceSeconds"):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


@each_set
def test_no_two_objects_have_one_name(values: Values) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in render(values)]
    assert len(names) == len(set(names))


@each_set
def test_every_queue_has_one_worker(values: Values) -> None:
    first = [lane.queue for lane in lanes(values).values() if lane.variant == FIRST]
    assert sorted(first) == sorted(Queue)
    for component, lane in lanes(values).items():
        assert component == f"worker-{lane}".replace(".", "-")
    assert set(lanes(values)) < set(of_kind(values, "Deployment"))


@each_set
def test_what_compose_runs_runs_here_from_the_same_image(values: Values) -> None:
    on_cpu = values is SETS["cpu"]
    for component, pod in pods(values):
        service = COMPOSE.get({"slm": "vllm-slm", "mlm": "vllm-mlm"}.get(component, component))
        if component in lanes(values):
            lane = lanes(values)[component]
            cpu = f"worker-{lane.queue}-cpu"
            service = COMPOSE[cpu if on_cpu and cpu in COMPOSE else f"worker-{lane.queue}"]
        elif on_cpu and component in {"slm", "mlm"}:
            service = COMPOSE[f"engine-{component}"]
        image = container(pod)["image"]
        if values is SETS["everything"]:
            assert image.endswith((":1.2.3", ":1.2.4")) or "/callytics/" not in image
        elif service:
            wanted = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", service["image"])
            assert image == wanted, component
        name = image.rpartition(":")[0].rpartition("/")[2]
        assert name in targets() or image in {COMPOSE[one]["image"] for one in COMPOSE}


def test_the_broker_for_trying_out_forgets_as_little_as_that_of_compose() -> None:
    told = dict(pods(SETS["everything"]))
    assert [container(told["valkey"])["command"][-1].strip()] == [
        command.replace("$$", "$").strip() for command in COMPOSE["redis"]["command"]
    ]
    assert container(told["postgres"])["args"] == COMPOSE["postgres"]["command"]


def test_no_part_of_the_compose_file_is_missing() -> None:
    """But for the cache, which is an address, those who observe, whom a cluster has already, and the
    backup, which is made where database and bucket are.
    """
    observers = {"observability", "gpu-metrics", "logs"}
    elsewhere = {
        name
        for name, service in COMPOSE.items()
        if name in {"cache", "backup"} or observers.intersection(service.get("profiles", ()))
    }
    renamed = {"redis": "valkey", "vllm-slm": "slm", "vllm-mlm": "mlm"}
    wanted = {
        renamed.get(name, name)
        for name, service in COMPOSE.items()
        if name not in elsewhere and not name.endswith("-cpu") and not name.startswith("engine-")
    }
    assert wanted <= {component for component, _ in pods(SETS["everything"])}


@pytest.mark.parametrize("queue", Queue)
def test_a_worker_reads_the_volumes_that_it_reads_in_compose(queue: Queue) -> None:
    service = COMPOSE.get(f"worker-{queue}", {})
    assert ("models" in VALUES["workers"][queue]["needs"]) is any(
        volume.startswith("models:") for volume in service.get("volumes", ())
    )


@each_set
def test_every_variable_is_a_setting_or_its_library_s(values: Values) -> None:
    libraries = {"HF_HUB_OFFLINE", "HF_TOKEN", "HOME", "VLLM_API_KEY", "VLLM_NO_USAGE_STATS"}
    others = {*VALUES["secret"]["store"], "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"}
    for component, pod in pods(values):
        for name in environment(pod):
            assert is_setting(name) or name in libraries | others | {"REDIS_PASSWORD"}, component
    for name in of_kind(values, "ConfigMap")["settings"]["data"]:
        assert is_setting(name)


def test_a_variant_is_its_queue_s_worker_but_for_what_is_said() -> None:
    told = dict(pods(SETS["everything"]))
    for component, lane in lanes(SETS["everything"]).items():
        if lane.variant != FIRST:
            name = f"CALLYTICS_MODELS__{MODEL_OF[lane.queue].upper()}__VARIANTS"
            (variant,) = json.loads(environment(told[component])[name]).items()
            assert variant[0] == lane.variant
            assert set(variant[1]) <= set(ModelSettings.model_fields)
    small, large = (container(told[f"worker-sentiment{end}"]) for end in ("-small", ""))
    assert small["image"] == large["image"] == "registry.example/callytics/worker-text:1.2.4"
    assert small["resources"]["limits"] == {"cpu": "2", "memory": "2Gi"}
    assert large["resources"]["limits"]["nvidia.com/gpu.shared"] == 1


def test_a_queue_that_has_a_model_says_which() -> None:
    said = {queue: VALUES["workers"][queue].get("model") for queue in Queue}
    assert said == {queue: MODEL_OF.get(queue) for queue in Queue}


@each_set
def test_whoever_takes_a_gpu_sees_it_as_the_first_and_is_where_there_is_one(values: Values) -> None:
    taking = {}
    for component, pod in pods(values):
        limits = container(pod)["resources"].get("limits", {})
        taking[component] = [name for name in limits if name.startswith("nvidia.com/")]
        if component in lanes(values):
            name = f"CALLYTICS_WORKERS__{lanes(values)[component].queue.upper()}__GPU"
            assert environment(pod).get(name) == ("0" if taking[component] else None)
        if taking[component]:
            assert any("nvidia.com/gpu" in label for label in pod["spec"]["nodeSelector"])
            assert pod["spec"]["tolerations"]
    if values is SETS["cpu"]:
        assert not any(taking.values())
    if values is SETS["default"]:
        on_gpu = {"worker-diarize", "worker-stt", "worker-punctuate", "worker-sentiment"}
        assert {name for name, gpus in taking.items() if gpus} == on_gpu | {"slm", "mlm"}
    if values is SETS["everything"]:
        assert taking["worker-diarize"] == ["nvidia.com/mig-1g.10gb"]


@pytest.mark.parametrize(("name", "preset"), [("default", "production"), ("cpu", "offline")])
@pytest.mark.parametrize(("key", "task"), [("slm", "summarize"), ("mlm", "analyse")])
def test_a_chat_model_is_asked_where_and_by_the_name_that_it_answers(
    name: str, preset: str, key: str, task: str
) -> None:
    settings = of_kind(SETS[name], "ConfigMap")["settings"]["data"]
    told = container(dict(pods(SETS[name]))[key])["args"]
    wanted = PRESETS[preset][task]["model"]
    assert settings["CALLYTICS_PRESET"] == preset
    assert settings[f"CALLYTICS_MODELS__{task.upper()}__MODEL"] == wanted
    assert (
        settings[f"CALLYTICS_MODELS__{task.upper()}__SERVER"] == f"http://callytics-{key}:8000/v1"
    )
    assert of_kind(SETS[name], "Service")[key]["spec"]["ports"][0]["port"] == 8000
    if preset == "production":
        assert told[0] == wanted
        assert f"--served-model-name={wanted}" in told
    else:
        file = next(file.path for file in getattr(CATALOG[wanted], "files", ()))
        assert f"--alias={wanted}" in told
        assert f"--model-path=/var/lib/callytics/models/{wanted}/{file}" in told


@each_set
def test_whatever_selects_pods_finds_some_and_their_port(values: Values) -> None:
    labelled = [(pod["metadata"]["labels"], container(pod)) for _, pod in pods(values)]
    for one in render(values):
        spec = one.get("spec", {})
        wanted = spec.get("podSelector", spec.get("selector"))
        if one["kind"] in {"Service", "NetworkPolicy", "PodDisruptionBudget"}:
            wanted = wanted.get("matchLabels", wanted)
            found = [only for labels, only in labelled if wanted.items() <= labels.items()]
            assert found, one["metadata"]["name"]
        for port in spec.get("ports", ()) if one["kind"] == "Service" else ():
            named = {port["name"] for only in found for port in only["ports"]}
            assert port["targetPort"] in named
