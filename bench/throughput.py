"""Many calls at once against one after the other: `python -m bench.throughput [--calls 10]`.

Through the running local stack (`callytics up`): the first 30 s of the shipped mono recording, each time as
a call of its own. At once, diarization and speech-to-text, each with its worker and queue, work on
different calls at the same time; one after the other, a call is submitted when the one before has ended.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.pipeline import seconds

SAMPLE = Path("samples/dialogue_16k_mono.wav")
SECONDS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10)
    number = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        clips = [cut(SAMPLE, Path(folder) / f"clip-{each}.wav") for each in range(number)]
        submit(clips[:1])  # all is warm from here on
        at_once = span(submit(clips))
        in_turn = sum(span(submit([clip])) for clip in clips)
    print(f"{number} calls at once              {at_once:6.1f} s, all completed")
    print(f"{number} calls one after the other  {in_turn:6.1f} s, all completed")
    print(f"throughput, at once / in turn  {in_turn / at_once:.2f}")


def span(calls: Sequence[Mapping[str, Any]]) -> float:
    """Seconds from the first call's row to the last call's end, by the database's clock."""
    return seconds(
        min(call["created_at"] for call in calls), max(call["completed_at"] for call in calls)
    )


def submit(files: Sequence[Path]) -> Sequence[Mapping[str, Any]]:
    """The results of `files`, submitted at once; ends the bench if one was not completed."""
    options = [*map(str, files), "--wait", "--json"]
    command = [sys.executable, "-m", "callytics.cli", "submit", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    calls: Sequence[Mapping[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    if [call["status"] for call in calls] != ["completed"] * len(files):
        sys.exit("Not every call was completed.")
    return calls


def cut(recording: Path, target: Path) -> Path:
    with wave.open(str(recording)) as source, wave.open(str(target), "wb") as clip:
        clip.setparams(source.getparams())
        clip.writeframes(source.readframes(SECONDS * source.getframerate()))
    return target


if __name__ == "__main__":
    main()
