"""What is printed to be pasted is what the settings know."""

import pytest

from callytics.domain.stages import Queue
from callytics.placement.hardware import Hardware, parse_gpus
from callytics.placement.layout import Layout, Worker
from callytics.placement.paste import lines
from callytics.placement.profile import load
from callytics.settings import Settings

LAYOUT = Layout(
    hardware=Hardware(gpus=parse_gpus("24GB,80GB"), cores=8),
    workers=(
        Worker(queues="audio"),
        Worker(queues="audio"),
        Worker(queues="stt", device="gpu0"),
        Worker(queues="punctuate,sentiment", device="gpu1"),
        Worker(queues="slm", device="gpu1"),
    ),
)


def test_settings_are_those_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    said = dict(
        line.split("=")
        for line in lines(LAYOUT, load("production"))
        if line.startswith("CALLYTICS_")
    )
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    settings = Settings()

    assert settings.worker(Queue.STT).gpu == "0"
    assert settings.worker(Queue.STT).memory_fraction == pytest.approx(0.3)
    # The queues that share a worker are pinned alike; of a larger GPU the same memory is a smaller share.
    assert settings.worker(Queue.PUNCTUATE) == settings.worker(Queue.SENTIMENT)
    assert settings.worker(Queue.SENTIMENT).gpu == "1"
    assert settings.worker(Queue.SENTIMENT).memory_fraction == pytest.approx(0.04)
    # Whose worker only waits for its engine.
    assert settings.worker(Queue.SLM).gpu is None
    assert settings.worker(Queue.SLM).concurrency == 8


def test_an_engine_is_a_command_with_its_share() -> None:
    [engine] = [line for line in lines(LAYOUT, load("production")) if "vllm serve" in line]

    assert "CUDA_VISIBLE_DEVICES=1 vllm serve Qwen/Qwen3-1.7B" in engine
    assert "--gpu-memory-utilization 0.11" in engine
    assert "--max-num-seqs 8" in engine


def test_replicas_are_counted() -> None:
    *_, compose = lines(LAYOUT, load("production"))
    assert "--scale worker-audio=2" in compose
    assert "--scale worker-text=1" in compose
