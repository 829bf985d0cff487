"""What runs in the cluster has no rights, no secrets but its own, and reaches no more than it needs."""

import json
import re
from collections.abc import Mapping

import pytest

from tests.support.chart import (
    BUCKET,
    SETS,
    Object,
    Values,
    container,
    environment,
    of_kind,
    pods,
    render,
)

each_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS)


@each_set
def test_nothing_runs_as_root_or_with_more_rights_than_it_needs(values: Values) -> None:
    for component, pod in pods(values):
        spec, only = pod["spec"], container(pod)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] >= 999, component
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert not any("hostPath" in volume for volume in spec["volumes"])


@each_set
def test_every_container_says_what_it_takes(values: Values) -> None:
    for component, pod in pods(values):
        resources = container(pod)["resources"]
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(resources[kind]), component


@each_set
def test_every_image_has_a_version(values: Values) -> None:
    for _, pod in pods(values):
        assert re.search(r":v?\d+\.\d+", container(pod)["image"])


@each_set
def test_every_mount_has_its_volume_and_every_volume_a_mount(values: Values) -> None:
    for component, pod in pods(values):
        mounted = {mount["name"] for mount in container(pod)["volumeMounts"]}
        there = {volume["name"] for volume in pod["spec"]["volumes"]}
        assert mounted == there | ({"data"} if component in {"postgres", "valkey"} else set())


@each_set
def test_every_claim_is_the_release_s_own_and_stays_when_it_goes(values: Values) -> None:
    """Or is named in the values."""
    claims = of_kind(values, "PersistentVolumeClaim")
    for claim in claims.values():
        assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    for _, pod in pods(values):
        for volume in pod["spec"]["volumes"]:
            if name := volume.get("persistentVolumeClaim", {}).get("claimName"):
                assert name.removeprefix("callytics-") in claims or name == "weights"


SECRET = r"PASSWORD|SECRET|TOKEN|API_KEY|BASIC_AUTH|(DATABASE|REDIS|CACHE)_URL"


@each_set
def test_no_secret_stands_in_an_object(values: Values) -> None:
    assert not of_kind(values, "Secret")
    for config in of_kind(values, "ConfigMap").values():
        assert not [name for name in config["data"] if re.search(SECRET, name)]
    for _, pod in pods(values):
        for name, value in environment(pod).items():
            assert value is None or not re.search(SECRET, name)
    assert not re.search(r"://[^/\s\"]+:[^/\s\"$]+@", json.dumps(list(render(values))))


def secrets(pod: Object) -> set[str]:
    env = container(pod).get("env", ())
    references = [one["valueFrom"]["secretKeyRef"] for one in env if "valueFrom" in one]
    assert {one["name"] for one in references} <= {"callytics"}
    return {one["key"] for one in references}


ROWS = {"CALLYTICS_DATABASE_URL", "CALLYTICS_REDIS_URL"}
STORE = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
HUB, CHAT, KEYS = {"CALLYTICS_HF_TOKEN"}, {"CALLYTICS_LLM__API_KEY"}, {"CALLYTICS_SECRET_KEY"}


def test_each_part_is_given_its_own_secrets_and_no_others() -> None:
    given = {component: secrets(pod) for component, pod in pods(SETS["default"])}
    assert given == {
        "api": {*ROWS, *KEYS, *STORE, "CALLYTICS_CACHE_URL"},
        "worker-audio": ROWS | STORE | HUB,
        "worker-diarize": ROWS | STORE | HUB,
        "worker-stt": ROWS | STORE | HUB,
        "worker-punctuate": ROWS | HUB,
        "worker-sentiment": ROWS | HUB,
        "worker-slm": ROWS | CHAT,
        "worker-mlm": ROWS | CHAT,
        "worker-diagnosis": ROWS | CHAT,
        "worker-callback": ROWS | KEYS,
        "worker-control": ROWS | STORE,
        "beat": {"CALLYTICS_REDIS_URL"},
        "flower": {"CALLYTICS_REDIS_URL", "CALLYTICS_FLOWER__BASIC_AUTH"},
        "migrate": {"CALLYTICS_DATABASE_URL"},
        "models": HUB,
        "slm": HUB | CHAT,
        "mlm": HUB | CHAT,
    }


def policies(values: Values, pod: Object, kind: str) -> set[str]:
    """Those of `kind` that let this pod through to something, or somebody to it."""
    labels = pod["metadata"]["labels"]
    return {
        name
        for name, policy in of_kind(values, "NetworkPolicy").items()
        if policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        and policy["spec"].get(kind)
    }


REACHES: Mapping[str, set[str]] = {
    "api": {"database", "broker", "cache", "store"},
    "worker-audio": {"database", "broker", "store", "models", "internet"},
    "worker-diarize": {"database", "broker", "store", "models"},
    "worker-stt": {"database", "broker", "store", "models"},
    "worker-punctuate": {"database", "broker", "models"},
    "worker-sentiment": {"database", "broker", "models"},
    "worker-slm": {"database", "broker", "chat"},
    "worker-mlm": {"database", "broker", "chat"},
    "worker-diagnosis": {"database", "broker", "chat", "internet"},
    "worker-callback": {"database", "broker", "internet"},
    "worker-control": {"database", "broker", "store"},
    "beat": {"broker"},
    "flower": {"broker"},
    "migrate": {"database"},
    "models": {"models", "internet"},
    "slm": {"models"},
    "mlm": {"models"},
}


def test_each_part_reaches_what_it_needs_and_nothing_else() -> None:
    reached = {
        component: {name.removeprefix("to-") for name in policies(BUCKET, pod, "egress")} - {"all"}
        for component, pod in pods(BUCKET)
    }
    assert reached == REACHES


@each_set
def test_whoever_is_not_let_through_is_kept_out(values: Values) -> None:
    """One policy chooses every pod and allows nothing."""
    deny = of_kind(values, "NetworkPolicy")["deny"]["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(deny)
    for _, pod in pods(values):
        wanted, labels = deny["podSelector"]["matchLabels"], pod["metadata"]["labels"]
        assert wanted.items() <= labels.items()


def test_chat_models_are_reached_by_the_workers_that_ask_them_and_by_prometheus() -> None:
    network = of_kind(BUCKET, "NetworkPolicy")
    for key in ("slm", "mlm"):
        workers, prometheus = network[f"at-{key}"]["spec"]["ingress"][0]["from"]
        asking = workers["podSelector"]["matchLabels"].items()
        named = {name for name, pod in pods(BUCKET) if asking <= pod["metadata"]["labels"].items()}
        assert named == {"worker-slm", "worker-mlm", "worker-diagnosis"}
        assert prometheus["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}
    for policy in ("to-chat", "at-slm", "at-mlm"):
        (rule,) = network[policy]["spec"].get("egress") or network[policy]["spec"]["ingress"]
        assert [port["port"] for port in rule["ports"]] == [8000]


def test_only_the_ingress_and_prometheus_reach_the_api_and_nobody_a_worker() -> None:
    network = of_kind(BUCKET, "NetworkPolicy")
    entered = {name for name in network if network[name]["spec"].get("ingress")}
    assert entered == {"at-api", "at-flower", "at-slm", "at-mlm"}
    assert len(network["at-api"]["spec"]["ingress"][0]["from"]) == 2


def test_the_internet_is_not_the_cluster() -> None:
    (rule,) = of_kind(BUCKET, "NetworkPolicy")["to-internet"]["spec"]["egress"]
    v4, v6 = (peer["ipBlock"] for peer in rule["to"])
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(v4["except"])
    assert "fc00::/7" in v6["except"]


def test_the_hub_is_left_alone_where_it_is_out_of_reach() -> None:
    for values, offline in ((SETS["default"], False), (SETS["everything"], True)):
        assert ("to-models" in of_kind(values, "NetworkPolicy")) is not offline
        for component, pod in pods(values):
            loads = "callytics/models" in pod["metadata"]["labels"]
            fetches = "callytics/internet" in pod["metadata"]["labels"]
            asked_not_to = environment(pod).get("HF_HUB_OFFLINE") == "1"
            assert asked_not_to is (offline and loads and not fetches), component


def test_the_migration_before_everything_else_needs_nothing_of_the_release() -> None:
    """A hook runs before the release's own objects are there, and at an upgrade before they are changed."""
    job = of_kind(BUCKET, "Job")["migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]
    assert "serviceAccountName" not in pod["spec"]
    assert "envFrom" not in container(pod)
    assert [set(volume) for volume in pod["spec"]["volumes"]] == [{"name", "emptyDir"}]
    assert container(pod)["args"] == ["db", "upgrade"]


def test_with_a_database_of_the_release_the_migration_does_not_go_before_it() -> None:
    """As a hook before the installation it would wait for a server that comes after it."""
    (name, job), *others = of_kind(SETS["everything"], "Job").items()
    assert name == "migrate-1"
    assert others == []
    assert "annotations" not in job["metadata"]


def test_the_models_are_fetched_when_somebody_says_so() -> None:
    assert of_kind(BUCKET, "CronJob")["models"]["spec"]["suspend"] is True


def test_beat_is_one_and_the_old_one_goes_first() -> None:
    spec = of_kind(BUCKET, "Deployment")["beat"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize(("values", "surge"), [(SETS["default"], 0), (SETS["everything"], 1)])
def test_a_roll_out_takes_no_gpu_that_is_not_spare(values: Values, surge: int) -> None:
    deployments = of_kind(values, "Deployment")
    for component in ("worker-stt", "slm"):
        rolling = deployments[component]["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxSurge": surge, "maxUnavailable": 1 - surge}
    without = deployments["worker-callback"]["spec"]["strategy"]["rollingUpdate"]
    assert without == {"maxSurge": 1, "maxUnavailable": 0}
