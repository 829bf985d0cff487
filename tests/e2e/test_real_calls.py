"""Recordings through the whole stack with the real models, by the commands that a person types."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jiwer
import pytest

from bench.attribution import score
from callytics.domain import bound_key
from callytics.domain.stages import Stage
from callytics.services.health import MODEL_STAGES
from tests.support.metrics import Sample, sample_of, samples
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
            "CALLYTICS_LOG_LEVEL": "debug",  # more than anybody asks for: it must hold there too
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

    @property
    def url(self) -> str:
        return self.callytics("settings", "get", "api_url").strip()

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


PHONE, CUSTOMER = "010-9876-5432", "CL-2025091307777"
THANKS = "친절하게 상담해 주셔서 정말 감사합니다"
BOUND_KEY = re.compile(r"[\w-]+:\d{10}:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def keys(stack: Stack) -> dict[str, str]:
    """Keys that were used: a bound key, its client's secret, an API key."""
    secret = json.loads(stack.callytics("clients", "create", "desk", "--json"))["secret"]
    api_key = json.loads(stack.callytics("api-keys", "create", "desk", "--json"))["api_key"]
    found = {
        "bound_key": bound_key.make("desk", secret, now_s=time.time()),
        "secret": secret,
        "api_key": api_key,
    }
    with httpx.Client(base_url=stack.url, timeout=60) as http:
        judged = http.post(
            "/api/v1/sentiment/analyze", json={"text": THANKS}, headers={"X-API-Key": api_key}
        )
        assert judged.status_code == 200
        taken = http.post(
            "/api/v1/consultation/quick-summary",
            json={
                "consultation_id": CUSTOMER,
                "conversation_text": f"고객: {THANKS}. 제 번호는 {PHONE} 입니다.",
                "bound_key": found["bound_key"],
            },
        )
        assert taken.status_code in (200, 202)
        refused = http.post(
            "/api/v1/calls",
            json={"audio_path": "/nowhere", "metadata": {"phone": PHONE}, "language": PHONE},
            headers={"X-Bound-Key": found["bound_key"]},
        )
        assert refused.status_code >= 400
    return found


def test_no_log_quotes_a_call_a_number_or_a_key(
    stack: Stack, mono: dict[str, Any], stereo: dict[str, Any], keys: dict[str, str]
) -> None:
    logs = stack.logs()
    texts = [THANKS, *(said for call in (mono, stereo) for said in texts_of(call))]
    spoken = {word for text in texts for word in text.split() if len(word) > 2}
    kept = json.loads((stack.state_dir / "secrets.json").read_text())

    assert len(spoken) > 50
    assert [word for word in spoken if word in logs] == []
    assert [said for said in (PHONE, PHONE.replace("-", ""), CUSTOMER) if said in logs] == []
    assert [name for name, key in {**keys, **kept}.items() if key in logs] == []
    assert BOUND_KEY.findall(logs) == []
    assert mono["call_id"] in logs


def texts_of(call: dict[str, Any]) -> list[str]:
    sentences = [one["text"] for turn in call["turns"] for one in turn["sentences"]]
    return [text_of(call), call["summary"]["text"], *sentences]


def test_a_request_s_id_leads_from_the_api_to_every_stage(
    stack: Stack, mono: dict[str, Any]
) -> None:
    lines = [json.loads(line) for line in stack.logs().splitlines() if line.startswith("{")]
    (accepted,) = (
        line
        for line in lines
        if line["event"] == "call_accepted" and line["call_id"] == mono["call_id"]
    )
    done = {
        line["stage"]: line
        for line in lines
        if line["event"] == "stage_done" and line["request_id"] == accepted["request_id"]
    }
    assert set(done) == set(Stage)
    for line in done.values():
        assert line["call_id"] == mono["call_id"]
        assert {"attempt", "worker", "seconds"} <= line.keys()


def test_metrics_tell_of_the_calls(stack: Stack, mono: dict[str, Any]) -> None:
    def shown() -> dict[Sample, float]:
        return samples(httpx.get(f"{stack.url}/metrics", timeout=30).text)

    transcribed = {"stage": "transcribe", "variant": "v1"}
    audio = sample_of("callytics_stage_audio_seconds_total", transcribed)
    wait_until(lambda: shown().get(audio), every_s=0.5)
    found = shown()
    assert found["callytics_database_up", ()] == found["callytics_broker_up", ()] == 1
    assert found[audio] >= mono["duration_s"]
    factor = found[sample_of("callytics_stage_realtime_factor_sum", transcribed)]
    assert factor > 0
    assert found["callytics_sweeps_total", ()] > 0
    loaded = [name for name, _ in found if name == "callytics_model_load_seconds"]
    assert len(loaded) >= len(MODEL_STAGES)
