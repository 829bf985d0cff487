"""`callytics sentiment`; no worker has the model here, so word lists answer, and it is said."""

import json

from tests.integration.cli.conftest import Run


def test_texts_are_judged_in_their_order(call: Run) -> None:
    result = call("sentiment", "정말 감사합니다", "화가 납니다", "--json")
    assert result.exit_code == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["sentiment"] for one in answers] == ["긍정", "부정"]
    assert "model_not_ready" in result.stderr


def test_a_person_sees_a_table(call: Run) -> None:
    result = call("sentiment", "정말 감사합니다")
    assert "긍정" in result.stdout
    assert "정말 감사합니다" in result.stdout


def test_what_is_refused_is_said(call: Run) -> None:
    result = call("sentiment", "<br>")
    assert result.exit_code == 1
    assert "empty_text" in result.stderr
    assert result.stderr.count("Nothing is left") == 1


def test_the_faulty_texts_are_told_by_their_place(call: Run) -> None:
    texts = ["감사합니다"] * 200  # as many as one request holds
    result = call("sentiment", *texts, "", "좋아요", "<br>", "--json")
    assert result.exit_code == 1
    assert "place, from 1: 201, 203." in result.stderr
    assert len(result.stdout.splitlines()) == 200
