"""What is printed to be pasted is what the settings and the compose file know."""

from pathlib import Path

import pytest
import yaml

from callytics.domain.stages import Queue
from callytics.placement.hardware import Hardware, parse_gpus
from callytics.placement.layout import Layout, Worker
from callytics.placement.paste import lines
from callytics.placement.profile import load
from callytics.settings import Settings

COMPOSE = Path("docker-compose.yml").read_text("utf-8")

LAYOUT = Layout(
    hardware=Hardware(gpus=parse_gpus("24GB,80GB"), cores=8),
    workers=(
        Worker(queues="audio"),
        Worker(queues="audio"),
        Worker(queues="stt", device="gpu0"),
        Worker(queues="stt", device="gpu1"),
        Worker(queues="sentiment", device="gpu1"),
        Worker(queues="slm", device="gpu1"),
    ),
)


def pasted() -> dict[str, str]:
    said = [line.split("=") for line in lines(LAYOUT, load("production")) if line[0] != "#"]
    assert len(said) == len(dict(said))  # nothing is said twice, so nothing is overridden
    return dict(said)


def test_settings_are_those_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in pasted().items():
        monkeypatch.setenv(name, value)
    settings = Settings()

    assert settings.worker(Queue.STT).gpu == "0"
    assert settings.worker(Queue.STT).memory_fraction is None  # its library knows no limit
    assert settings.worker(Queue.SENTIMENT).gpu == "1"
    # Of a larger GPU the same memory is a smaller share.
    assert settings.worker(Queue.SENTIMENT).memory_fraction == pytest.approx(0.02)
    # Whose worker only waits for its engine.
    assert settings.worker(Queue.SLM).gpu is None
    assert settings.worker(Queue.SLM).concurrency == 8


def test_the_compose_file_knows_every_variable() -> None:
    assert pasted()["SLM_GPU"] == "1"
    assert pasted()["SLM_GPU_MEMORY"] == "0.11"
    for name in pasted():
        assert f"${{{name}:" in COMPOSE


def test_workers_on_a_second_gpu_want_an_environment_of_their_own() -> None:
    said = list(lines(LAYOUT, load("production")))
    assert "# CALLYTICS_WORKERS__STT__GPU=1" in said
    assert any("a service that extends worker-stt:" in line for line in said)


def test_an_engine_is_a_command_with_its_share() -> None:
    [engine] = [line for line in lines(LAYOUT, load("production")) if "vllm serve" in line]

    assert "CUDA_VISIBLE_DEVICES=1 vllm serve Qwen/Qwen3-1.7B" in engine
    assert "--gpu-memory-utilization 0.11" in engine
    assert "--max-num-seqs 8" in engine


def test_replicas_are_counted_of_services_that_there_are() -> None:
    *_, compose = lines(LAYOUT, load("production"))
    assert "--scale worker-audio=2" in compose
    assert "--scale worker-stt=1" in compose
    assert scaled(compose) <= started_with("gpu")


def scaled(compose: str) -> set[str]:
    return {option.partition("=")[0] for option in compose.split("--scale ")[1:]}


def started_with(profile: str) -> set[str]:
    services = yaml.safe_load(COMPOSE)["services"].items()
    return {name for name, service in services if profile in service.get("profiles", [profile])}


def test_a_worker_of_several_queues_is_several_services() -> None:
    both = Layout(
        hardware=Hardware(gpus=(), cores=2), workers=(Worker(queues="punctuate,sentiment"),)
    )
    *_, compose = lines(both, load("offline"))
    assert "--scale worker-punctuate-cpu=1 --scale worker-sentiment-cpu=1" in compose
    assert scaled(compose) <= started_with("cpu")
