import sys

import pytest
import structlog

from callytics.domain.stages import Queue
from callytics.errors import ConfigurationError
from callytics.settings import Settings, WorkerSettings
from workers.pinning import environment, limit_gpu_memory, memory_fraction


def with_workers(**workers: WorkerSettings) -> Settings:
    return Settings(workers={Queue(name): worker for name, worker in workers.items()})


def test_a_worker_without_a_gpu_sees_none() -> None:
    assert environment([Queue.AUDIO], Settings())["CUDA_VISIBLE_DEVICES"] == ""


def test_a_worker_sees_the_gpu_of_its_queue_only() -> None:
    settings = with_workers(stt=WorkerSettings(gpu="1"), diarize=WorkerSettings(gpu="0"))

    assert environment([Queue.STT], settings)["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment([Queue.DIARIZE], settings)["CUDA_VISIBLE_DEVICES"] == "0"


def test_queues_of_one_worker_must_agree_on_the_gpu() -> None:
    settings = with_workers(stt=WorkerSettings(gpu="1"), diarize=WorkerSettings(gpu="0"))

    with pytest.raises(ConfigurationError, match="different GPUs"):
        environment([Queue.STT, Queue.DIARIZE], settings)


def test_threads_and_memory_share_are_passed_on() -> None:
    settings = with_workers(stt=WorkerSettings(gpu="0", memory_fraction=0.4, threads=3))

    assert environment([Queue.STT], settings)["OMP_NUM_THREADS"] == "3"
    assert memory_fraction([Queue.STT], settings) == 0.4
    assert memory_fraction([Queue.AUDIO], settings) is None


def test_a_share_of_memory_that_no_library_here_can_limit_keeps_no_worker_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The image of speech to text has no PyTorch."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with structlog.testing.capture_logs() as logs:
        limit_gpu_memory(0.4)
    assert [line["event"] for line in logs] == ["gpu_memory_not_limited"]
