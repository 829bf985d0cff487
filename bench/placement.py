"""The simulation against a real run: `python -m bench.placement [--calls 100] [--load 0.6] [--burst 10]`.

On a stack of its own. The stages are measured on pieces of the shipped recording (`callytics bench stages`),
half of them before the run and half after it, since the machine's speed drifts. In between, calls, other
pieces of the recording, come in at random times: so many together, at a share of the rate that the first
half says can be sustained. Then the same arrivals, with the lengths that these calls have, are simulated.
Nothing is fitted to the run. The machine should do nothing else meanwhile.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Any

from callytics.cli import local
from callytics.cli.api import Api, connect
from callytics.cli.bench import measure, profile_of
from callytics.cli.follow import follow
from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.domain.stages import Stage
from callytics.embedded.stack import SAMPLES
from callytics.placement.clips import cut
from callytics.placement.forecast import highest_per_hour
from callytics.placement.hardware import Hardware
from callytics.placement.layout import Layout
from callytics.placement.measure import running_of
from callytics.placement.profile import Profile
from callytics.placement.simulation import Batching, Simulated, simulate
from callytics.placement.workload import Call, Workload, seeds
from callytics.settings import get_settings

SAMPLE = SAMPLES / "dialogue_16k_mono.wav"
SHORTEST_S, LONGEST_S = 10.0, 20.0
REPLICATIONS = 40
NO_BATCHES = Batching(size=20, window_s=900)
TOLERANCE = 0.25


def main() -> None:
    said = _arguments()
    draw = Random(said.seed)
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder) / "state"):
        before, after, recordings = (
            clips(Path(folder) / name, number, draw)
            for name, number in (
                ("before", said.measured),
                ("after", said.measured),
                ("calls", said.calls),
            )
        )
        layout = local_layout()
        first = measure(before)
        rate = said.load * sustained(layout, profile_of(first, "before", len(before)), draw)
        print(f"{rate:.0f} calls an hour, {said.burst} together", flush=True)
        real = through_the_stack(recordings, due(said.calls, rate, said.burst, draw))
        both = first + measure(after)
        profile = profile_of(both, "measured", len(before) + len(after))
    if said.output:
        said.output.write_text(json.dumps(profile.model_dump(mode="json"), indent=1) + "\n")
    calls = [Call(at_s=_at(one, real), audio_s=one["duration_s"]) for one in real]
    foretold = [simulate(layout, profile, calls, one, NO_BATCHES) for one in seeds(1, REPLICATIONS)]
    within = compare(real, foretold, profile)
    sys.exit(0 if within else f"Not within {TOLERANCE:.0%}.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.placement", description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--measured", type=int, default=15, help="recordings before, and after")
    parser.add_argument("--load", type=float, default=0.6, help="of what can be sustained")
    parser.add_argument("--burst", type=int, default=10, help="calls that come together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="where the profile goes that was measured")
    return parser.parse_args()


@contextmanager
def stack(state_dir: Path) -> Iterator[None]:
    """The whole local stack, in a state directory of its own, as this process's settings name it."""
    os.environ["CALLYTICS_STATE_DIR"] = str(state_dir)
    os.environ["CALLYTICS_API__RATE_LIMIT_PER_MINUTE"] = "100000"
    command = [sys.executable, "-m", "callytics.cli"]
    subprocess.run([*command, "up", "--detach"], check=True, stdout=subprocess.DEVNULL)
    try:
        get_settings.cache_clear()
        yield
    finally:
        subprocess.run([*command, "down"], check=True)


def local_layout() -> Layout:
    """What runs now."""
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        workers = running_of(Heartbeats(session).fresh(), get_settings())
    return Layout(hardware=Hardware(gpus=(), cores=os.cpu_count() or 1), workers=tuple(workers))


def clips(folder: Path, number: int, draw: Random) -> list[Path]:
    folder.mkdir()
    lengths = {"shortest_s": SHORTEST_S, "longest_s": LONGEST_S}
    return list(cut(SAMPLE, folder, number=number, draw=draw, **lengths))


def sustained(layout: Layout, profile: Profile, draw: Random) -> float:
    lengths = tuple(draw.uniform(SHORTEST_S, LONGEST_S) for _ in range(1000))
    workload = Workload(calls_per_hour=1, durations=lengths)
    return highest_per_hour(layout, profile, workload, 1, NO_BATCHES)


def due(number: int, rate: float, burst: int, draw: Random) -> list[float]:
    """When calls come: a Poisson process, so many together at each of its moments."""
    workload = Workload(calls_per_hour=rate, burst=burst)
    return [call.at_s for call in workload.draw(number, draw)]


def through_the_stack(
    recordings: Sequence[Path], arrivals: Sequence[float]
) -> list[Mapping[str, Any]]:
    """The calls' results, each submitted when it is due."""
    with connect(None, None) as api:
        started = time.monotonic()
        call_ids = []
        for recording, at_s in zip(recordings, arrivals, strict=True):
            time.sleep(max(0.0, started + at_s - time.monotonic()))
            call_ids.append(submit(api, recording))
        for _ in follow(api, call_ids):
            pass
        found = [api.call(call_id) for call_id in call_ids]
    if [call["status"] for call in found] != ["completed"] * len(found):
        sys.exit("Not every call was completed.")
    return found


def submit(api: Api, recording: Path) -> str:
    with recording.open("rb") as content:
        return str(api.submit_file(content, recording.name, {}, {})["call_id"])


def compare(
    real: Sequence[Mapping[str, Any]], foretold: Sequence[Simulated], profile: Profile
) -> bool:
    """Print both sides; whether mean wait and throughput are within the tolerance."""
    lines = {
        "mean wait of a call, all queues, s": (
            fmean(sum(stage["wait_s"] for stage in call["stages"]) for call in real),
            [sum(run.wait_s for run in one.runs) / len(one.calls) for one in foretold],
        ),
        "from arrival to result, mean, s": (
            fmean(_epoch(call["completed_at"]) - _epoch(call["created_at"]) for call in real),
            [fmean(end - one.calls[n].at_s for n, end in one.ended_at.items()) for one in foretold],
        ),
        "throughput, calls an hour": (
            3600 * len(real) / (max(_epoch(call["completed_at"]) for call in real) - _start(real)),
            [3600 * len(one.calls) / max(one.ended_at.values()) for one in foretold],
        ),
    }
    print(f"while several stages run, {profile.loss.value:.1%} of the cores do no work")
    print(f"{'':36}{'measured':>10}{'simulated':>12}{'(sd)':>9}{'ratio':>8}")
    ratios = []
    for name, (measured_as, simulated_as) in lines.items():
        ratios.append(fmean(simulated_as) / measured_as)
        print(
            f"{name:36}{measured_as:10.2f}{fmean(simulated_as):12.2f}"
            f"{f'({stdev(simulated_as):.2f})':>9}{ratios[-1]:8.2f}"
        )
    _by_stage(real, foretold)
    return all(abs(ratio - 1) <= TOLERANCE for ratio in (ratios[0], ratios[2]))


def _by_stage(real: Sequence[Mapping[str, Any]], foretold: Sequence[Simulated]) -> None:
    for stage in Stage:
        rows = [row for call in real for row in call["stages"] if row["name"] == stage]
        runs = [run for one in foretold for run in one.runs if run.work is stage]
        wait, ran = fmean(row["wait_s"] for row in rows), fmean(row["run_s"] for row in rows)
        waited = fmean(run.wait_s for run in runs)
        run_s = fmean(run.ended_at - run.started_at for run in runs)
        print(f"  {stage:12} wait {wait:7.2f} / {waited:7.2f} s   run {ran:6.2f} / {run_s:6.2f} s")


def _start(real: Sequence[Mapping[str, Any]]) -> float:
    return min(_epoch(call["created_at"]) for call in real)


def _at(call: Mapping[str, Any], real: Sequence[Mapping[str, Any]]) -> float:
    return _epoch(call["created_at"]) - _start(real)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
