import io

import pytest
from rich.console import Console

from callytics.cli.stack_board import StackBoard
from callytics.embedded.supervisor import Event, State


def test_a_board_is_ready_when_every_part_is() -> None:
    board = StackBoard()
    assert not board.ready
    board.on_event(Event(part="valkey", state=State.READY))
    board.on_event(Event(part="api", state=State.STARTING))
    assert not board.ready
    board.on_event(Event(part="api", state=State.READY, seconds=1.5))
    assert board.ready


def test_in_a_pipe_readiness_and_trouble_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    board = StackBoard()
    for state, detail in (
        (State.WAITING, None),
        (State.STARTING, None),
        (State.CRASHED, "ended with status 1; its log: x.log"),
        (State.STARTING, None),
        (State.READY, None),
    ):
        board.on_event(Event(part="api", state=state, seconds=1.5, detail=detail))
    assert capsys.readouterr().err.splitlines() == [
        "api crashed: ended with status 1; its log: x.log",
        "api ready after 1.5 s",
    ]


def test_each_change_of_a_model_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    board = StackBoard()
    loading = {"transcribe": {"status": "loading"}}
    failed = {"transcribe": {"status": "failed", "problem": {"detail": "no file"}}}
    for models in (loading, loading, failed, failed):
        board.on_models(models)
    assert capsys.readouterr().err.splitlines() == [
        "Model for transcribe: loading",
        "Model for transcribe: no file",
    ]


def test_parts_and_models_are_drawn() -> None:
    board = StackBoard()
    board.on_event(Event(part="worker-stt", state=State.STARTING, seconds=2.0))
    board.on_models({"transcribe": {"status": "warming", "model": "whisper-base"}})
    console = Console(file=io.StringIO(), width=120)
    console.print(board)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for expected in ("worker-stt", "starting", "2.0 s", "transcribe", "warming", "whisper-base"):
        assert expected in text
