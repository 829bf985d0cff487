import json

import pytest

from callytics.domain.retention import Due, Scope, body_without, due, is_made_of, lines_without


@pytest.mark.parametrize(
    ("audio_days", "text_days", "expected"),
    [
        (None, None, []),
        (30, None, [(Scope.AUDIO, 30)]),
        (None, 30, [(Scope.TEXT, 30)]),
        (30, 90, [(Scope.ALL, 90), (Scope.AUDIO, 30), (Scope.TEXT, 90)]),
        (90, 30, [(Scope.ALL, 90), (Scope.TEXT, 30)]),
        (30, 30, [(Scope.ALL, 30), (Scope.TEXT, 30)]),
    ],
)
def test_the_later_of_two_times_takes_the_row_along(
    audio_days: float | None, text_days: float | None, expected: list[tuple[Scope, float]]
) -> None:
    found = due(audio_days, text_days)
    assert found == [Due(scope=scope, days=days) for scope, days in expected]


def test_a_callback_loses_a_consultation_wherever_it_stands() -> None:
    body = {
        "batch_id": "B",
        "results": [{"consultation_id": "a", "summary": "네"}, {"consultation_id": "b"}],
        "errors": [{"consultation_id": "a"}, {"consultation_id": "c"}],
    }
    found = body_without(json.dumps(body).encode(), "a")
    assert json.loads(found) == {
        "batch_id": "B",
        "results": [{"consultation_id": "b"}],
        "errors": [{"consultation_id": "c"}],
    }


def test_a_file_loses_the_lines_that_have_the_id_as_a_value() -> None:
    lines = [
        '{"custom_id": "a1", "body": {"text": "x"}}',
        '{"custom_id": "a12"}',
        '{"custom_id": "b", "body": {"metadata": {"of": ["a1"]}}}',
        '{"custom_id": "c", "body": {"text": "they said a1 often"}}',
        "no json but a1",
        "no json",
    ]
    kept = lines_without("\n".join(lines), "a1").split("\n")
    assert kept == [lines[1], lines[3], lines[5]]


def test_an_escaped_id_is_the_same_id() -> None:
    assert lines_without('{"custom_id": "\\uac00"}', "가") == ""


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.1", True),
        ("a.1-up", True),
        ("x_a.1_y", True),
        ("a.12", False),
        ("ba.1", False),
        ("가a.1", False),
        ("a.1가", False),
        ("a-1", False),
        ("a.12 a.1", True),
    ],
)
def test_an_id_stands_in_a_key_by_itself_or_not_at_all(key: str, *, expected: bool) -> None:
    assert is_made_of(key, "a.1") is expected
