import io

import pytest
from rich.console import Console

from callytics.cli.call_board import CallBoard


def stage(name: str, status: str, **more: object) -> dict[str, object]:
    return {"name": name, "status": status, **more}


def drawn(board: CallBoard) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(board)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_change_of_a_stage_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    board = CallBoard(["a.wav"])
    running = {"status": "running", "stages": [stage("merge", "running")]}
    board.update("a.wav", running)
    board.update("a.wav", running)
    board.update("a.wav", {"status": "completed", "stages": [stage("merge", "done", run_s=1.25)]})
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["a.wav: merge running", "a.wav: merge done 1.2 s"]


def test_calls_stand_side_by_side() -> None:
    board = CallBoard(["a.wav", "[b].wav"])
    board.update(
        "a.wav", {"status": "running", "stages": [stage("merge", "running", progress=0.43)]}
    )
    board.update("[b].wav", {"status": "queued", "stages": [stage("merge", "waiting")]})
    head, row = drawn(board).splitlines()
    assert "a.wav" in head
    assert "[b].wav" in head
    assert row.startswith("merge")
    assert "43%" in row


def test_of_many_calls_those_that_run_are_shown_and_the_others_counted() -> None:
    titles = [f"{number}.wav" for number in range(10)]
    board = CallBoard(titles)
    for title in titles[:8]:
        board.update(title, {"status": "completed", "stages": []})
    text = drawn(board)
    assert "9.wav" in text
    assert "7.wav" not in text
    assert "8 of 10 calls have ended" in text
