"""What the pipeline costs beside its models: `python -m bench.pipeline [--runs 3]`.

In one run, in turns: the shipped 71 s mono recording through the running local stack (`callytics up`), and
the same models called by hand in bare processes, one model a process, with the two pairs of branches
(diarize and transcribe, sentiment and summarize) side by side as the pipeline has them.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.orchestration import spread
from callytics.domain.excerpt import Line
from callytics.domain.summary import prompt
from callytics.domain.transcript import Role
from callytics.services.summary import SummaryOptions
from callytics.settings import get_settings

SAMPLE = Path("samples/dialogue_16k_mono.wav")


# Each of these loads its library, and gives what does the bare call.


def preprocess() -> Callable[[Any], Any]:
    from faster_whisper import decode_audio
    from faster_whisper.vad import get_speech_timestamps

    def call(path: str) -> Any:
        audio = decode_audio(path)
        get_speech_timestamps(audio)
        return audio

    return call


def transcribe() -> Callable[[Any], Any]:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(get_settings().model_dir / "whisper-base"), compute_type="int8")

    def call(audio: Any) -> Any:
        segments, _ = model.transcribe(
            audio,
            beam_size=5,
            word_timestamps=True,
            vad_filter=True,
            condition_on_previous_text=False,
        )
        return [segment.text for segment in segments]

    return call


def diarize() -> Callable[[Any], Any]:
    import torch

    from workers.runtimes import load

    # The offline pipeline has to be put together; what is timed is the library's own call.
    pipeline = load("diarize", get_settings())._pipeline  # type: ignore[attr-defined]

    def call(audio: Any) -> Any:
        pipeline({"waveform": torch.from_numpy(audio)[None], "sample_rate": 16000}, num_speakers=2)

    return call


def punctuate() -> Callable[[Any], Any]:
    from kiwipiepy import Kiwi

    kiwi = Kiwi()

    def call(texts: Any) -> Any:
        return [[s.text for s in kiwi.split_into_sents(text)] for text in texts]

    return call


def sentiment() -> Callable[[Any], Any]:
    from workers.runtimes import load

    model = load("sentiment", get_settings())
    classify: Callable[[Any], Any] = model.classify  # type: ignore[attr-defined]
    return classify


def summarize() -> Callable[[Any], Any]:
    import openai

    settings = get_settings()
    model = settings.models.summarize
    client = openai.OpenAI(base_url=model.server or settings.llm.base_url, api_key="none")

    asked = SummaryOptions.of(model.options)

    def call(messages: Any) -> Any:
        return client.chat.completions.create(
            model=model.model,
            messages=messages,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            extra_body=model.options.get("extra_body"),
        )

    return call


STAGES = (preprocess, transcribe, diarize, punctuate, sentiment, summarize)


def _serve(load: Callable[[], Callable[[Any], Any]], pipe: Connection) -> None:
    call = load()
    pipe.send("ready")
    while True:
        given = pipe.recv()
        started = time.perf_counter()
        answer = call(given)
        pipe.send((time.perf_counter() - started, answer))


class ByHand:
    """One bare process a library."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipes: dict[str, Connection] = {}
        for load in STAGES:
            ours, theirs = spawn.Pipe()
            spawn.Process(target=_serve, args=(load, theirs), daemon=True).start()
            assert ours.recv() == "ready"
            self._pipes[load.__name__] = ours

    def ask(self, stage: str, given: Any) -> tuple[float, Any]:
        self._pipes[stage].send(given)
        answer: tuple[float, Any] = self._pipes[stage].recv()
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    hand = ByHand()
    through_the_stack()  # both are warm from here on
    walls, sums, bare = [], [], []
    for _ in range(runs):
        call = through_the_stack()
        walls.append(seconds(call["created_at"], call["completed_at"]))
        alone, side_by_side = by_hand(hand, call)
        sums.append(alone)
        bare.append(side_by_side)
        for stage in call["stages"]:
            print(
                f"  {stage['name']:12} waited {stage['wait_s']:6.3f} s  ran {stage['run_s']:6.2f} s"
            )
    overhead = [wall / one for wall, one in zip(walls, bare, strict=True)]
    print(f"through the pipeline            {spread(walls, unit=' s')}")
    print(f"by hand, branches side by side  {spread(bare, unit=' s')}")
    print(f"by hand, one after the other    {spread(sums, unit=' s')}")
    print(f"pipeline / by hand side by side {spread(overhead, unit='')}")


def through_the_stack() -> Mapping[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "callytics.cli", "submit", SAMPLE, "--wait", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def by_hand(hand: ByHand, call: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds of the bare calls one after the other, and with their branches side by side.

    The later ones are given what the pipeline found, so that both sides compute the same.
    """
    turns = [turn["text"] for turn in call["turns"]]
    sentences = [one["text"] for turn in call["turns"] for one in turn["sentences"]]
    lines = [Line(role=Role(turn["role"]), text=turn["text"]) for turn in call["turns"]]
    options = SummaryOptions.of(get_settings().models.summarize.options)
    messages = prompt(lines, call["language"], options.input_chars)
    started = time.perf_counter()
    _, audio = hand.ask("preprocess", str(SAMPLE))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(hand.ask, ("transcribe", "diarize"), (audio, audio)))
        hand.ask("punctuate", turns)
        list(pool.map(hand.ask, ("sentiment", "summarize"), (sentences, messages)))
    side_by_side = time.perf_counter() - started
    alone = sum(
        hand.ask(stage, given)[0]
        for stage, given in (
            ("preprocess", str(SAMPLE)),
            ("transcribe", audio),
            ("diarize", audio),
            ("punctuate", turns),
            ("sentiment", sentences),
            ("summarize", messages),
        )
    )
    return alone, side_by_side


def seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


if __name__ == "__main__":
    main()
