"""Recordings through the whole stack with the real models, by the commands that a person types."""

import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import pytest

from bench.attribution import score
from callytics.domain.stages import Stage
from tests.support.recordings import SAMPLES
from tests.support.stack import left_behind
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.models, pytest.mark.timeout(600)]

REFERENCE = json.loads((SAMPLES / "dialogue_ref.json").read_text("utf-8"))
SAID = " ".join(turn["text"] for turn in REFERENCE)


class Stack:
    """A running local stack."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._env = {
            **os.environ,
            "CALLYTICS_STATE_DIR": str(state_dir),
            "CALLYTICS_PIPELINE__LEASE_S": "6",  # nobody needs to wait longer for a killed worker
        }

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "callytics.cli", *command],
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    def callytics(self, *command: str | Path) -> str:
        return self.run(*command).stdout

    def analyse(self, *options: str | Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.callytics("submit", *options, "--wait", "--json"))
        return found

    def logs(self) -> str:
        return "".join(path.read_text("utf-8", "replace") for path in self._log_files())

    def _log_files(self) -> list[Path]:
        return sorted((self.state_dir / "logs").glob("*.log"))


@dataclass(frozen=True)
class Demo:
    """`callytics demo`, run to its end where nothing ran before; `stack` is not running then."""

    stack: Stack
    shown: str
    told: str
    left_behind: list[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    done = stack.run("demo")
    return Demo(stack, done.stdout, done.stderr, left_behind(stack.state_dir))


@pytest.fixture(scope="module")
def stack(demo: Demo) -> Iterator[Stack]:
    """The demo's stack, up again: it knows the calls still."""
    demo.stack.callytics("up", "--detach")
    yield demo.stack
    demo.stack.callytics("down")


@pytest.fixture(scope="module")
def demo_calls(stack: Stack) -> list[dict[str, Any]]:
    page = json.loads(stack.callytics("calls", "list", "--json"))
    return [
        json.loads(stack.callytics("calls", "show", call["call_id"], "--json"))
        for call in page["data"]
    ]


@pytest.fixture(scope="module")
def mono(demo_calls: list[dict[str, Any]]) -> dict[str, Any]:
    return next(call for call in demo_calls if call["channels"] is None)


@pytest.fixture(scope="module")
def stereo(demo_calls: list[dict[str, Any]]) -> dict[str, Any]:
    return next(call for call in demo_calls if call["channels"] is not None)


def text_of(call: dict[str, Any]) -> str:
    return " ".join(turn["text"] for turn in call["turns"])


def test_the_demo_shows_two_analysed_calls_and_leaves_nothing_running(demo: Demo) -> None:
    for expected in ("dialogue_16k_mono.wav", "dialogue_8k_stereo_ulaw.wav", "agent", "customer"):
        assert expected in demo.shown
    assert demo.shown.count("completed") == 2
    assert demo.shown.count("Summary: ") == 2
    assert "dialogue_16k_mono.wav: transcribe done" in demo.told
    assert "Traceback" not in demo.told
    assert demo.left_behind == []


@pytest.mark.parametrize(("sample", "most"), [("mono", 0.12), ("stereo", 0.2)])
def test_what_was_said_is_what_is_written(
    sample: str, most: float, request: pytest.FixtureRequest
) -> None:
    call = request.getfixturevalue(sample)
    plain = jiwer.Compose([jiwer.RemovePunctuation(), jiwer.RemoveWhiteSpace()])

    assert jiwer.cer(plain(SAID), plain(text_of(call))) < most
    assert call["language"] == "ko"


@pytest.mark.parametrize("sample", ["mono", "stereo"])
def test_every_turn_has_its_speaker_and_role(sample: str, request: pytest.FixtureRequest) -> None:
    call = request.getfixturevalue(sample)

    assert [turn["role"] for turn in call["turns"]] == [turn["speaker"] for turn in REFERENCE]
    words = [(turn["role"], word) for turn in call["turns"] for word in turn["text"].split()]
    found = score(words, SAMPLES / "dialogue_ref.json")
    assert found.judged > 80
    assert found.share >= 0.97


def test_channels_that_were_named_are_certain(stereo: dict[str, Any]) -> None:
    assert {turn["role_confidence"] for turn in stereo["turns"]} == {1.0}
    assert stereo["channels"] == {"agent": 0, "customer": 1}


@pytest.mark.parametrize("sample", ["mono", "stereo"])
def test_a_result_says_how_it_came_about(sample: str, request: pytest.FixtureRequest) -> None:
    call = request.getfixturevalue(sample)

    assert call["status"] == "completed"
    assert [stage["name"] for stage in call["stages"]] == list(Stage)
    assert all(stage["status"] == "done" for stage in call["stages"])
    assert all(stage["model"] for stage in call["stages"] if stage["name"] != "merge")
    assert call["metrics"]["duration_s"] == pytest.approx(call["duration_s"], abs=0.01)


@pytest.mark.parametrize("sample", ["mono", "stereo"])
def test_thanks_sound_good_and_anger_does_not(sample: str, request: pytest.FixtureRequest) -> None:
    call = request.getfixturevalue(sample)
    labels = [turn["sentiment"]["label"] for turn in call["turns"]]

    assert labels[5] == "negative"
    assert labels[11] == "positive"


@pytest.mark.parametrize("sample", ["mono", "stereo"])
def test_the_summary_is_one_short_korean_sentence_about_the_matter(
    sample: str, request: pytest.FixtureRequest
) -> None:
    text = request.getfixturevalue(sample)["summary"]["text"]

    assert "인터넷" in text
    assert len(text) < 200


def test_nothing_is_made_up_out_of_silence(stack: Stack, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * 10))

    call = stack.analyse(silence)

    assert call["status"] == "completed"
    assert call["turns"] == []


def test_a_recogniser_that_is_killed_in_mid_call_costs_time_and_no_call(stack: Stack) -> None:
    call_id = json.loads(stack.callytics("submit", SAMPLES / "dialogue_16k_mono.wav", "--json"))[
        "call_id"
    ]

    def run() -> dict[str, Any]:
        call = json.loads(stack.callytics("calls", "show", call_id, "--json"))
        return next(stage for stage in call["stages"] if stage["name"] == "transcribe")

    wait_until(lambda: run()["status"] == "running", every_s=0.2)
    worker = run()["worker"]
    os.kill(int(worker.partition("@")[0].rpartition("-")[2]), signal.SIGKILL)

    wait_until(lambda: run()["status"] == "done", 200, every_s=1)
    assert run()["attempts"] == 2


def test_no_log_quotes_a_call(stack: Stack, mono: dict[str, Any], stereo: dict[str, Any]) -> None:
    logs = stack.logs()
    spoken = {word for call in (mono, stereo) for word in text_of(call).split() if len(word) > 2}

    assert spoken
    assert [word for word in spoken if word in logs] == []
    assert mono["call_id"] in logs
