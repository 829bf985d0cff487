"""The compose file is valid, serves every queue once whatever profile runs, and gives nobody too much."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from callytics.domain.routes import FIRST, MODEL_OF, Lane
from callytics.domain.stages import Queue
from callytics.embedded import valkey
from callytics.embedded.process import Process, free_port, running
from callytics.model_files.catalog import CATALOG
from callytics.settings import PRESETS, PipelineSettings
from tests.support.images import extras_of, targets

FILE = Path("docker-compose.yml")
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if "build" in service}
WITH_MODELS = ("cpu", "gpu")
"""Of these profiles one runs, beside what always does."""


def with_profile(*profiles: str) -> dict[str, Any]:
    """What runs with these profiles."""
    return {
        name: service
        for name, service in SERVICES.items()
        if "profiles" not in service or set(profiles).intersection(service["profiles"])
    }


def lanes_of(service: dict[str, Any]) -> list[Lane]:
    command = service.get("command", [])
    names = command[2].split(",") if command[:1] == ["worker"] else ()
    return [Lane.parse(name) for name in names]


def test_the_file_follows_the_compose_specification() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("profile", WITH_MODELS)
def test_every_queue_has_one_worker(profile: str) -> None:
    served = [lane for service in with_profile(profile).values() for lane in lanes_of(service)]
    assert sorted(map(str, served)) == sorted(Queue)


def test_a_worker_serves_one_queue_and_is_called_by_it() -> None:
    for name, service in SERVICES.items():
        for lane in lanes_of(service):
            ending = f"-{lane.variant}" if lane.variant != FIRST else ""
            assert name in {f"worker-{lane.queue}{ending}", f"worker-{lane.queue}-cpu"}
            assert len(lanes_of(service)) == 1


def test_a_worker_of_a_variant_is_started_when_asked_for_and_names_its_variant() -> None:
    variants = [
        (service, lane)
        for service in SERVICES.values()
        for lane in lanes_of(service)
        if lane.variant != FIRST
    ]
    assert variants
    for service, lane in variants:
        assert service["profiles"] == ["ab"]
        name = f"CALLYTICS_MODELS__{MODEL_OF[lane.queue].upper()}__VARIANTS"
        assert lane.variant in json.loads(service["environment"][name])


@pytest.mark.parametrize("name", OWN)
def test_an_own_image_is_built_from_a_target_and_called_by_it(name: str) -> None:
    target = OWN[name]["build"]["target"]
    assert target in targets()
    assert f"/{target}:" in OWN[name]["image"]


EXTRA_OF = {
    Queue.AUDIO: ["audio"],
    Queue.DIARIZE: ["diarize"],
    Queue.STT: ["stt"],
    Queue.PUNCTUATE: ["text"],
    Queue.SENTIMENT: ["text"],
    Queue.SLM: ["llm"],
    Queue.MLM: ["llm"],
    Queue.DIAGNOSIS: ["llm"],
    Queue.CALLBACK: [],
    Queue.CONTROL: [],
}


@pytest.mark.parametrize("name", OWN)
def test_a_worker_has_the_libraries_of_its_queue(name: str) -> None:
    for lane in lanes_of(OWN[name]):
        assert extras_of(OWN[name]["build"]["target"]) == EXTRA_OF[lane.queue]


@pytest.mark.parametrize("name", OWN)
def test_every_part_waits_for_the_migration(name: str) -> None:
    """But for the backup: it is restored into a database without tables."""
    if name == "backup":
        assert OWN[name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    elif name != "migrate":
        assert OWN[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("profile", WITH_MODELS)
def test_nobody_waits_for_what_does_not_run(profile: str) -> None:
    here = with_profile(profile)
    for service in here.values():
        assert set(service.get("depends_on", {})) <= set(here)


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_runs_with_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    # NVIDIA's library asks for it; who does not want that leaves its profile out.
    assert service.get("cap_add", []) == (["SYS_ADMIN"] if name == "dcgm-exporter" else [])
    assert "privileged" not in service
    # Whoever names the host's disks reads them from its process 1.
    assert service.get("pid") == ("host" if name == "node-exporter" else None)
    assert not {"network_mode", "ipc"} & set(service)
    assert service["security_opt"] == ["no-new-privileges:true"]
    # The first reads log files that belong to root, with none of root's capabilities.
    assert (service["user"] == "root") is (name in {"vector", "dcgm-exporter"})
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))


@pytest.mark.parametrize("name", OWN)
def test_an_own_process_may_write_to_its_state_directory_and_temporary_files(name: str) -> None:
    places = OWN[name]["tmpfs"]
    assert "/tmp" in places
    if "CALLYTICS_STATE_DIR" in OWN[name].get("environment", {}):
        assert "/var/lib/callytics:uid=10001,gid=10001,mode=0700" in places
        assert OWN[name]["user"] == "10001:10001"


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_takes_more_than_its_share_of_the_host(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    # Docker refuses more processors than the host has, and a small one has two.
    assert limits["cpus"] == "${CPU_LIMIT:-4}" or float(limits["cpus"]) <= 2
    assert {"max-size", "max-file"} <= set(SERVICES[name]["logging"]["options"])
    # A migration that cannot end well ends `up` too, which waits for it.
    once = {"migrate": "on-failure:5", "models": "no", "backup": "no"}
    assert SERVICES[name]["restart"] == once.get(name, "unless-stopped")


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version(name: str) -> None:
    version = SERVICES[name]["image"].rpartition(":")[2]
    if name in OWN:
        assert SERVICES[name]["image"].endswith((":${IMAGE_TAG:-0.1.0}", "${IMAGE_TAG:-0.1.0}-cpu"))
    else:
        assert re.match(r"v?\d+\.\d+", version)


def test_no_secret_has_a_default() -> None:
    for name, default in re.findall(r"\$\{([A-Z0-9_]+):?-([^}]*)\}", FILE.read_text("utf-8")):
        if re.search(r"PASSWORD|SECRET|TOKEN|API_KEY|AUTH", name):
            assert default == ""


def test_no_password_stands_on_a_command_line() -> None:
    """Which every user of the host may read; `$$` is left to the shell within the container."""
    for service in SERVICES.values():
        said = json.dumps([service.get("command"), service.get("healthcheck")])
        assert not re.search(r"(?<!\$)\$\{?[A-Z_]*(PASSWORD|SECRET|TOKEN|KEY)", said)


@pytest.mark.parametrize("name", SERVICES)
def test_who_is_not_of_callytics_gets_no_setting_of_it(name: str) -> None:
    service = SERVICES[name]
    if name in OWN and "env_file" in service:
        assert service["environment"]["GRAFANA_ADMIN_PASSWORD"] == ""
        assert service["environment"]["ELASTICSEARCH_PASSWORD"] == ""
    else:
        assert "CALLYTICS_SECRET_KEY" not in service.get("environment", {})


def test_only_the_loopback_is_listened_on_unless_somebody_says_so() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    for port in published:
        assert re.fullmatch(r"\$\{[A-Z]+_LISTEN:-127\.0\.0\.1:\d+\}:\d+", port)


def test_flower_is_behind_a_password() -> None:
    assert "BASIC_AUTH:?}" in SERVICES["flower"]["environment"]["CALLYTICS_FLOWER__BASIC_AUTH"]


def test_a_worker_has_time_to_finish_or_hand_back_its_stage() -> None:
    for name, service in OWN.items():
        if lanes_of(service):
            default = re.fullmatch(r"\$\{STOP_GRACE_PERIOD:-(\d+)s\}", service["stop_grace_period"])
            assert default, name
            assert int(default[1]) >= PipelineSettings().stop_grace_s + 10


def test_a_worker_is_well_when_its_models_are_loaded() -> None:
    """By its image, or where that is beat's by its own word."""
    for service in OWN.values():
        if lanes_of(service) and service["build"]["target"] == "beat":
            assert service["healthcheck"]["test"] == ["CMD", "callytics", "health", "worker"]
        else:
            assert service.get("healthcheck", {}) in ({}, {"disable": True})


def test_whoever_sees_a_gpu_has_reserved_one_and_calls_it_the_first() -> None:
    for name, service in SERVICES.items():
        devices = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
        if name == "dcgm-exporter":  # looks at all of them, and works on none
            assert devices[0]["count"] == "all"
            continue
        environment = service.get("environment", {})
        assert bool(devices) is ("CUDA_VISIBLE_DEVICES" in environment), name
        for device in devices:
            assert environment["CUDA_VISIBLE_DEVICES"] == "0"
            assert device["driver"] == "nvidia"
            assert len(device["device_ids"]) == 1
        for lane in lanes_of(service) if devices else ():
            assert environment[f"CALLYTICS_WORKERS__{lane.queue.upper()}__GPU"] == "0"
            assert environment["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"


def test_without_gpus_nothing_is_built_for_them() -> None:
    here = with_profile("cpu")
    for service in here.values():
        assert "reservations" not in service["deploy"]["resources"]
    for name, service in here.items():
        if {"diarize", "stt", "text"}.intersection(
            extras_of(service["build"]["target"]) if name in OWN else ()
        ):
            assert service["build"]["args"]["TORCH_BACKEND"] == "cpu"
            assert service["image"].endswith("-cpu")


@pytest.mark.parametrize("profile", WITH_MODELS)
def test_each_chat_model_has_one_server_by_the_name_that_workers_ask(profile: str) -> None:
    names = [
        alias
        for service in with_profile(profile).values()
        for alias in service.get("networks", {}).get("default", {}).get("aliases", ())
    ]
    assert sorted(names) == ["mlm", "slm"]
    asked = COMPOSE["x-callytics"]["environment"]
    assert "http://slm:8000/v1" in asked["CALLYTICS_MODELS__SUMMARIZE__SERVER"]
    assert "http://mlm:8000/v1" in asked["CALLYTICS_MODELS__ANALYSE__SERVER"]


@pytest.mark.parametrize(("service", "task"), [("vllm-slm", "summarize"), ("vllm-mlm", "analyse")])
def test_vllm_answers_by_the_name_that_the_preset_asks_for(service: str, task: str) -> None:
    command = SERVICES[service]["command"]
    wanted = PRESETS["production"][task]["model"]
    assert f"--served-model-name=${{CALLYTICS_MODELS__{task.upper()}__MODEL:-{wanted}}}" in command
    options = {option.partition("=")[0] for option in command[1:]}
    assert {"--gpu-memory-utilization", "--max-model-len", "--enable-prefix-caching"} <= options


@pytest.mark.parametrize(
    ("service", "task"), [("engine-slm", "summarize"), ("engine-mlm", "analyse")]
)
def test_the_engine_answers_by_the_name_that_the_preset_asks_for(service: str, task: str) -> None:
    wanted = PRESETS["offline"][task]["model"]
    file = next(file.path for file in getattr(CATALOG[wanted], "files", ()))
    model_dir = COMPOSE["x-callytics"]["environment"]["CALLYTICS_MODEL_DIR"]
    assert f"--alias={wanted}" in SERVICES[service]["command"]
    assert f"--model-path={model_dir}/{wanted}/{file}" in SERVICES[service]["command"]


def test_the_database_takes_the_connections_of_twenty_processes() -> None:
    sizing = Path("docs/operations.md").read_text("utf-8")
    wanted = re.search(r"Twenty processes want `max_connections` of (\d+)", sizing)
    assert wanted
    assert f"max_connections={wanted[1]}" in SERVICES["postgres"]["command"]


def test_a_backup_has_the_recordings_and_a_folder_of_the_host() -> None:
    assert SERVICES["backup"]["profiles"] == ["tools"]
    assert SERVICES["backup"]["volumes"] == [
        *COMPOSE["x-callytics"]["volumes"],
        "${BACKUP_DIR:-./backups}:/backups",
    ]


def test_the_broker_forgets_nothing_and_the_cache_may() -> None:
    broker, cache = (SERVICES[name]["command"][0] for name in ("redis", "cache"))
    assert "appendonly yes" in broker
    assert "maxmemory-policy noeviction" in broker
    assert "maxmemory-policy allkeys-lru" in cache
    for configuration in (broker, cache):
        assert "requirepass $$REDIS_PASSWORD" in configuration


def test_the_broker_s_command_starts_one_that_wants_the_password(tmp_path: Path) -> None:
    """The real server, elsewhere: the shell writes its configuration."""
    port = free_port()
    (tmp_path / "valkey-server").symlink_to(valkey.binary())
    script = SERVICES["redis"]["command"][0].replace("$$", "$")
    script = script.replace("dir /data", f"dir {tmp_path}\nport {port}\nbind 127.0.0.1")
    client = redis.Redis(port=port, password="hunter2", decode_responses=True)
    broker = Process(
        name="redis",
        command=["/bin/sh", "-c", script],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": "hunter2"},
        ready=lambda _pid: bool(client.ping()),
    )
    with running(broker, tmp_path / "log") as pid, client:
        found = client.config_get("appendonly", "maxmemory-policy")
        assert found == {"appendonly": "yes", "maxmemory-policy": "noeviction"}
        with redis.Redis(port=port) as nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()
        assert "hunter2" not in Path(f"/proc/{pid}/cmdline").read_text()


def test_every_volume_and_mounted_folder_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert Path(source).is_dir()
            elif not source.startswith(("$", "/")):
                assert source in COMPOSE["volumes"]
