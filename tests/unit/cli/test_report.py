from typing import Any

import pytest

from callytics.cli.report import clock, print_report, problems

CALL: dict[str, Any] = {
    "call_id": "0b9a6a0e-6f0c-4f0e-9a53-0d6f1f0f7c55",
    "consultation_id": "CL-1",
    "status": "completed",
    "duration_s": 71.4,
    "language": "ko",
    "turns": [
        {
            "index": 0,
            "start_s": 1.1,
            "end_s": 8.2,
            "speaker": "SPEAKER_00",
            "role": "agent",
            "role_confidence": 0.9,
            "text": "안녕하세요. 무엇을 도와드릴까요?",
            "sentences": [
                {"text": "안녕하세요.", "sentiment": {"label": "positive", "score": 0.8}},
                {"text": "무엇을 도와드릴까요?", "sentiment": None},
            ],
            "sentiment": {"label": "positive", "score": 0.8},
        },
        {
            "index": 1,
            "start_s": 68.0,
            "end_s": 70.0,
            "speaker": "SPEAKER_01",
            "role": "unknown",
            "role_confidence": 0.0,
            "text": "정말 [bold]화가[/] 납니다.",
            "sentences": [],
            "sentiment": {"label": "negative", "score": 0.9},
        },
    ],
    "sentiment": {
        "label": "neutral",
        "score": 0.5,
        "by_role": {"agent": {"label": "positive", "score": 0.8}},
        "words": {
            "positive": [{"word": "감사하다", "count": 2, "occurrences": []}],
            "negative": [],
        },
    },
    "communication": {
        "politeness": {"score": 0.75, "reason": None, "sentences": 4, "polite": 3},
        "empathy": {"score": None, "reason": "nothing_to_judge"},
        "interruptions": {
            "score": 1.0,
            "reason": None,
            "by_agent": 0,
            "by_customer": 2,
            "by_agent_per_minute": 0.0,
            "by_customer_per_minute": 3.64,
        },
        "answering": {
            "score": 0.5,
            "reason": None,
            "questions": 2,
            "answered": 1,
            "promised": 1,
            "unanswered": 0,
        },
    },
    "metrics": {
        "duration_s": 71.4,
        "speech_s": 60.0,
        "silence_s": 11.4,
        "silence_share": 0.16,
        "longest_silence_s": 3.2,
        "longest_silence_start_s": 65.0,
        "overlap_s": 0.6,
        "overlap_share": 0.01,
        "roles": {
            "agent": {
                "talk_s": 33.0,
                "talk_share": 0.55,
                "turns": 1,
                "words": 20,
                "syllables": 60,
                "words_per_minute": 36.4,
                "syllables_per_minute": 109.1,
                "interruptions": 2,
            }
        },
    },
    "summary": {"text": "고객이 인터넷 끊김을 문의함", "model": "chat", "seconds": 1.0},
    "stages": [
        {
            "name": "transcribe",
            "status": "done",
            "attempts": 1,
            "wait_s": 0.01,
            "run_s": 8.4,
            "model": "whisper-base",
            "device": "cpu",
            "problem": None,
        }
    ],
}


def printed(capsys: pytest.CaptureFixture[str], call: dict[str, Any]) -> str:
    print_report(call, title="call.wav")
    return capsys.readouterr().out


def test_a_report_in_a_pipe_says_everything_without_a_colour(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, CALL)
    assert "\x1b" not in text
    for expected in (
        "call.wav",
        "고객이 인터넷 끊김을 문의함",
        "1:11",
        "0:01",
        "agent",
        "positive 0.80",
        "안녕하세요. 무엇을 도와드릴까요?",
        "1:08",
        "SPEAKER_01",
        "negative 0.90",
        "33.0 s (55%)",
        "11.4 s (16%)",
        "3.2 s at 1:05",
        "0.6 s (1%)",
        "neutral 0.50",
        "whisper-base",
        "75%",
        "3 of 4 sentences have a polite ending",
        "nothing to judge",
        "agent 0 (0.0 a minute), customer 2 (3.6 a minute)",
        "1 of 2 questions answered, 1 promised",
        "positive words: 감사하다 2",
    ):
        assert expected in text


def test_what_was_said_is_never_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    assert "정말 [bold]화가[/] 납니다." in printed(capsys, CALL)


def test_a_call_that_has_just_begun_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    begun = {
        "call_id": CALL["call_id"],
        "status": "queued",
        "turns": [],
        "sentiment": None,
        "metrics": None,
        "communication": None,
        "summary": None,
        "stages": [{"name": "preprocess", "status": "queued", "attempts": 0}],
    }
    assert "queued" in printed(capsys, begun)


def test_a_silence_at_the_very_beginning_has_its_time_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = {**CALL["metrics"], "longest_silence_start_s": 0.0}
    assert "3.2 s at 0:00" in printed(capsys, {**CALL, "metrics": metrics})


def test_a_call_without_speech_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    silent = {
        **CALL,
        "turns": [],
        "sentiment": None,
        "metrics": {**CALL["metrics"], "roles": {}, "longest_silence_start_s": None},
    }
    assert "silence" in printed(capsys, silent)


def test_a_failed_stage_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"code": "not_audio", "detail": "This is no audio."}
    failed = {
        **CALL,
        "status": "failed",
        "stages": [{**CALL["stages"][0], "status": "failed", "problem": problem}],
    }
    assert problems(failed) == ["transcribe: This is no audio. (not_audio)"]
    assert "This is no audio." in printed(capsys, failed)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, ""), (0.0, "0:00"), (61.9, "1:01"), (3725, "62:05")]
)
def test_times_are_shown_as_a_player_does(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown
