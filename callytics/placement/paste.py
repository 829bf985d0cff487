"""A placement as lines to paste: variables of workers or of docker-compose.yml, and what to start."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from callytics.domain.stages import Queue
from callytics.placement.layout import CPU, Layout, Worker, fraction, index_of
from callytics.placement.profile import Profile

WITH_MODELS = frozenset({Queue.DIARIZE, Queue.STT, Queue.PUNCTUATE, Queue.SENTIMENT})
"""Of each of these docker-compose.yml has two services, one with a GPU and one without."""

UNCAPPED = Queue.STT.upper()
"""CTranslate2 knows no limit of memory (docs/deployment.md)."""


def lines(layout: Layout, profile: Profile) -> Iterator[str]:
    """A variable names one GPU, so where workers of a queue are on several, the further ones are comments."""
    groups: dict[str, list[tuple[Worker, int]]] = defaultdict(list)
    for worker, number in layout.groups():
        groups[worker.queues].append((worker, number))
    for first, *others in groups.values():
        yield from _started(layout, profile, *first)
        yield from _variables(layout, profile, first[0])
        for other in others:
            yield from _started(layout, profile, *other)
            yield f"# in another environment; in compose, a service that extends {_services(other[0])[0]}:"
            yield from (f"# {line}" for line in _variables(layout, profile, other[0]))
    scales = (
        f"--scale {service}={first[1]}"
        for first, *_ in groups.values()
        for service in _services(first[0])
    )
    yield f"# docker compose up -d {' '.join(scales)}"


def _started(layout: Layout, profile: Profile, worker: Worker, number: int) -> Iterator[str]:
    yield f"# {number} x `callytics worker --queues {worker.queues}`"
    said = profile.workers[worker.queues]
    if said.engine:
        command = f"vllm serve {said.engine} --max-num-seqs {said.at_once}"
        if worker.device != CPU:
            share = _share(layout, profile, worker)
            command = (
                f"CUDA_VISIBLE_DEVICES={index_of(worker.device)} {command} "
                f"--gpu-memory-utilization {share:g}"
            )
        yield f"# which asks {number} x {command}"


def _variables(layout: Layout, profile: Profile, worker: Worker) -> Iterator[str]:
    engine, on_gpu = profile.workers[worker.queues].engine, worker.device != CPU
    for queue in worker.queues.upper().split(","):
        if engine:
            at_once = profile.workers[worker.queues].at_once
            yield f"CALLYTICS_WORKERS__{queue}__CONCURRENCY={at_once}"
        if on_gpu:
            # A chat model's GPU is that of its server, which has variables of docker-compose.yml alone.
            gpu, memory = (
                (f"{queue}_GPU", f"{queue}_GPU_MEMORY")
                if engine
                else (
                    f"CALLYTICS_WORKERS__{queue}__GPU",
                    f"CALLYTICS_WORKERS__{queue}__MEMORY_FRACTION",
                )
            )
            yield f"{gpu}={index_of(worker.device)}"
            if queue != UNCAPPED:
                yield f"{memory}={_share(layout, profile, worker):g}"


def _share(layout: Layout, profile: Profile, worker: Worker) -> float:
    return fraction(profile.workers[worker.queues], layout.hardware.gpus[index_of(worker.device)])


def _services(worker: Worker) -> Sequence[str]:
    """As docker-compose.yml calls them, one a queue."""
    queues = worker.queues.split(",")
    return [
        f"worker-{queue}-cpu"
        if worker.device == CPU and queue in WITH_MODELS
        else f"worker-{queue}"
        for queue in queues
    ]
