"""Measures stages one at a time through a running stack, by what its rows say of calls."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from callytics.db.models import WorkerHeartbeat
from callytics.domain.routes import FIRST, Lane
from callytics.domain.stages import PIPELINE, SPECS, Queue, Stage
from callytics.errors import MeasurementError
from callytics.placement import machine
from callytics.placement.calibrate import Burst, loss_of
from callytics.placement.fit import Sample, cost_of, hop_of
from callytics.placement.layout import Worker
from callytics.placement.machine import BusyMeter
from callytics.placement.profile import Figure, Kind, Profile, WorkerProfile
from callytics.placement.workload import Call
from callytics.settings import Settings

Submit = Callable[[Sequence[Path], Stage | None], Sequence[Mapping[str, Any]]]
"""Submits recordings at once, for one stage and what it needs, or None: for all; the calls' results, once
they have ended."""

Said = Callable[[str], None]

TOGETHER = 3
"""Of so many recordings one is kept to be submitted with others: nobody has heard it before either, and chat
models are quick with what they have read."""

LENGTHS_APART = 1.2
"""The longest recording by the shortest, at least: what an hour takes is read off a line through them."""

IDLE_S = 5.0
"""How long is looked at what the stack does while it waits."""


def side_by_side() -> Iterator[Stage]:
    """Stages that the pipeline runs beside others: a call for one of them alone has it run by itself."""
    alike = Counter(spec.needs for spec in PIPELINE)
    yield from (spec.stage for spec in PIPELINE if alike[spec.needs] > 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Runs that were alone, calls that came together, and the cores that are busy anyway."""

    samples: Sequence[Sample]
    bursts: Sequence[Burst]
    idle_cores: float

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(
            samples=[*self.samples, *other.samples],
            bursts=[*self.bursts, *other.bursts],
            idle_cores=(self.idle_cores + other.idle_cores) / 2,
        )


def measure(recordings: Sequence[Path], submit: Submit, *, here: bool, tell: Said) -> Measured:
    """`here`: the stack is on this machine. A call that counts for nothing goes first, to warm all up."""
    kept = len(recordings) // TOGETHER if len(recordings) >= 2 * TOGETHER else 0
    together, single = recordings[:kept], recordings[kept:]
    submit(single[:1], Stage.SENTIMENT)  # not the summary: its engine would know the text again
    probes = list(side_by_side())
    with BusyMeter() as meter:
        since = time.time()
        time.sleep(IDLE_S)
        idle = meter.cores(since, time.time())
        samples: list[Sample] = []
        for number, recording in enumerate(single, start=1):
            for stage in probes:
                [call] = submit([recording], stage)
                time.sleep(2 * machine.LOOK_EVERY_S)  # the meter sees the end, too
                samples += alone(call, meter if here else None, idle)
            tell(f"{number} of {len(recordings)} recordings measured")
    lengths = {sample.audio_s for sample in samples}
    if lengths and max(lengths) < LENGTHS_APART * min(lengths):
        raise MeasurementError(
            "The recordings are about as long as each other, which says nothing of longer calls: give "
            "some that are several times as long as others."
        )
    bursts = [burst_of(submit(together, None))] if together else []
    tell(f"{len(recordings)} of {len(recordings)} recordings measured")
    return Measured(samples=samples, bursts=bursts, idle_cores=idle if here else 0.0)


def burst_of(calls: Sequence[Mapping[str, Any]]) -> Burst:
    came = [_epoch(call["created_at"]) for call in calls]
    ended = [_epoch(call["completed_at"]) for call in calls]
    return Burst(
        calls=[
            Call(at_s=at - min(came), audio_s=call["duration_s"])
            for at, call in sorted(zip(came, calls, strict=True), key=lambda pair: pair[0])
        ],
        mean_s=sum(ended) / len(ended) - sum(came) / len(came),
    )


def alone(call: Mapping[str, Any], meter: BusyMeter | None, idle: float) -> list[Sample]:
    """The stages of a call that ran while none other of it did."""
    spans = {
        stage["name"]: (_epoch(stage["started_at"]), _epoch(stage["finished_at"]))
        for stage in call["stages"]
    }
    found = []
    for stage in call["stages"]:
        since, until = spans[stage["name"]]
        others = [span for name, span in spans.items() if name != stage["name"]]
        if any(start < until and end > since for start, end in others):
            continue
        found.append(
            Sample(
                stage=Stage(stage["name"]),
                audio_s=call["duration_s"],
                wait_s=stage["wait_s"],
                seconds=max(until - since, 1e-4),
                cores=max(0.0, meter.cores(since, until) - idle) if meter else None,
            )
        )
    return found


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def profile_of(
    name: str,
    about: str,
    found: Measured,
    workers: Mapping[str, WorkerProfile],
    running: Sequence[Worker],
    *,
    cores: float | None,
    source: str,
) -> Profile:
    """`running`: the workers that there were, where they were; `cores` None: not known."""
    by_stage: dict[Stage, list[Sample]] = defaultdict(list)
    for sample in found.samples:
        by_stage[sample.stage].append(sample)
    if missing := set(Stage) - set(by_stage):
        raise MeasurementError(f"No run of {', '.join(sorted(missing))} was alone.")
    on_gpu = {
        queue
        for queues, one in workers.items()
        if one.device == "gpu"
        for queue in queues.split(",")
    }
    profile = Profile(
        name=name,
        about=about,
        cores=cores,
        hop_s=hop_of(found.samples, source),
        idle_cores=Figure(value=round(found.idle_cores, 3), kind=Kind.MEASURED, source=source),
        works={
            stage: cost_of(by_stage[stage], source, on_gpu=SPECS[stage].queue in on_gpu)
            for stage in Stage
        },
        workers=dict(workers),
    )
    if not found.bursts or cores is None or on_gpu:
        return profile
    return profile.model_copy(
        update={"loss": loss_of(found.bursts, profile, running, cores=cores, source=source)}
    )


def workers_of(
    heartbeats: Sequence[WorkerHeartbeat], settings: Settings, source: str
) -> Mapping[str, WorkerProfile]:
    """The running workers of the pipeline's queues: memory now, after they have worked, and load seconds."""
    return {
        ",".join(row.queues): _worker(row, settings, source) for row in _of_pipeline(heartbeats)
    }


def running_of(heartbeats: Sequence[WorkerHeartbeat], settings: Settings) -> Sequence[Worker]:
    """The same as they run on the cores of this machine, with their nice levels; a chat worker has that of
    its engine, which does the work.
    """
    return [
        Worker(
            queues=",".join(row.queues), nice=machine.nice(*_engine(row.queues, settings), row.pid)
        )
        for row in _of_pipeline(heartbeats)
    ]


def _of_pipeline(heartbeats: Sequence[WorkerHeartbeat]) -> Iterator[WorkerHeartbeat]:
    served = {spec.queue for spec in PIPELINE}
    for row in heartbeats:
        if served.intersection(row.queues) and all(
            Lane.parse(name).variant == FIRST for name in row.queues
        ):
            yield row


def _worker(row: WorkerHeartbeat, settings: Settings, source: str) -> WorkerProfile:
    pids = {row.pid, _main_pid(row.worker), *_engine(row.queues, settings)}
    loads = [model.get("load_seconds") or 0.0 for model in row.models.values()]
    gpu_mib = machine.gpu_memory_mib(*pids)

    def measured(value: float) -> Figure:
        return Figure(value=round(value, 2), kind=Kind.MEASURED, source=source)

    return WorkerProfile(
        device="gpu" if gpu_mib else "cpu",
        at_once=_at_once(row.queues, settings),
        memory_mib=measured(machine.resident_mib(*pids)),
        gpu_memory_mib=measured(gpu_mib) if gpu_mib else None,
        load_s=measured(max(loads, default=0.0)),
    )


def _at_once(queues: Sequence[str], settings: Settings) -> int:
    """One, but where the worker's threads wait for a chat model."""
    return settings.worker(Queue.SLM).concurrency if Queue.SLM in queues else 1


def _main_pid(worker: str) -> int:
    """Of `stt-4711@host`: the process that the worker is named by, beside its pool's child."""
    return int(worker.partition("@")[0].rpartition("-")[2])


def _engine(queues: Sequence[str], settings: Settings) -> list[int]:
    """The local engine that a worker of the small chat model asks."""
    server = settings.models.summarize.server or ""
    port = server.removesuffix("/v1").rpartition(":")[2]
    return machine.with_argument("workers.engine", "--port", port) if Queue.SLM in queues else []
