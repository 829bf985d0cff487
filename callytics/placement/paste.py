"""A placement as lines to paste: settings of the workers, commands of the engines, numbers of replicas."""

from collections.abc import Iterator

from callytics.placement.layout import CPU, Layout, Worker, fraction, index_of
from callytics.placement.profile import Profile


def lines(layout: Layout, profile: Profile) -> Iterator[str]:
    for worker, number in layout.groups():
        said = profile.workers[worker.queues]
        yield f"# {_times(number)} `callytics worker --queues {worker.queues}`"
        if said.engine:
            yield from _engine(layout, profile, worker, number)
        elif worker.device != CPU:
            gpu = index_of(worker.device)
            share = fraction(said, layout.hardware.gpus[gpu])
            for queue in worker.queues.split(","):
                yield f"CALLYTICS_WORKERS__{queue.upper()}__GPU={gpu}"
                yield f"CALLYTICS_WORKERS__{queue.upper()}__MEMORY_FRACTION={share:g}"
    yield f"# docker compose up -d {' '.join(_scales(layout))}"


def _engine(layout: Layout, profile: Profile, worker: Worker, number: int) -> Iterator[str]:
    said = profile.workers[worker.queues]
    yield f"CALLYTICS_WORKERS__{worker.queues.upper()}__CONCURRENCY={said.at_once}"
    command = f"vllm serve {said.engine} --max-num-seqs {said.at_once}"
    if worker.device != CPU:
        gpu = index_of(worker.device)
        share = fraction(said, layout.hardware.gpus[gpu])
        command = f"CUDA_VISIBLE_DEVICES={gpu} {command} --gpu-memory-utilization {share:g}"
    yield f"# which asks {_times(number)} {command}"


def _times(number: int) -> str:
    return f"{number} x"


def _scales(layout: Layout) -> Iterator[str]:
    """One service a worker, as docker-compose.yml calls them."""
    names = dict.fromkeys(worker.queues for worker in layout.workers)
    for name in names:
        service = "text" if "," in name else name
        yield f"--scale worker-{service}={layout.count(name)}"
