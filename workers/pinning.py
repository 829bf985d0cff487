"""Which device a worker sees. Applied to the environment before any model library is imported."""

from collections.abc import Mapping, Sequence

import structlog

from callytics.domain.stages import Queue
from callytics.errors import ConfigurationError
from callytics.settings import Settings

log = structlog.get_logger(__name__)


def environment(queues: Sequence[Queue], settings: Settings) -> Mapping[str, str]:
    """The variables that pin a worker of `queues`; raises ConfigurationError if they disagree.

    One process has one view of the GPUs, so queues that share a worker share its device.
    """
    workers = [settings.worker(queue) for queue in queues]
    gpus = {worker.gpu for worker in workers}
    if len(gpus) > 1:
        names = ", ".join(queues)
        raise ConfigurationError(f"The queues {names} share a worker but name different GPUs.")
    gpu = gpus.pop()
    variables = {
        # An empty value hides every GPU.
        "CUDA_VISIBLE_DEVICES": gpu or "",
        # Indices mean the same for CUDA as for nvidia-smi.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "TOKENIZERS_PARALLELISM": "false",
        "PYANNOTE_METRICS_ENABLED": "0",
    }
    if gpu is not None:
        variables["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"
    threads = [worker.threads for worker in workers if worker.threads]
    if threads:
        variables["OMP_NUM_THREADS"] = str(max(threads))
    return variables


def memory_fraction(queues: Sequence[Queue], settings: Settings) -> float | None:
    """The share of the GPU's memory that a worker of `queues` may take, if one is set."""
    shares = [settings.worker(queue).memory_fraction for queue in queues]
    return max((share for share in shares if share is not None), default=None)


def limit_gpu_memory(share: float) -> None:
    """Cap PyTorch's allocator in this process at `share` of the GPU it sees.

    CTranslate2 has no such cap, and the image of its worker no PyTorch.
    """
    try:
        import torch  # noqa: PLC0415 (only where a GPU is pinned)
    except ModuleNotFoundError:
        log.warning("gpu_memory_not_limited", share=share)
        return
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)
