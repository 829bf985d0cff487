from email.utils import formatdate

import httpx
import pytest

from callytics import __version__
from callytics.cli.deploy_findings import Grade, clock, is_near, queues, schema, version

NOW_S = 1_800_000_000


@pytest.mark.parametrize(
    ("skew_s", "grade"),
    [(0, Grade.OK), (-20, Grade.OK), (60, Grade.WARN), (-60, Grade.WARN), (300, Grade.FAIL)],
)
def test_clocks_may_differ_as_long_as_keys_are_good(skew_s: float, grade: Grade) -> None:
    answer = httpx.Response(200, headers={"Date": formatdate(NOW_S + skew_s, usegmt=True)})
    assert clock(answer, NOW_S).grade is grade


def test_an_answer_without_a_date_says_nothing_of_the_clock() -> None:
    assert clock(httpx.Response(200), NOW_S).grade is Grade.WARN
    odd = httpx.Response(200, headers={"Date": "yesterday"})
    assert clock(odd, NOW_S).grade is Grade.WARN


@pytest.mark.parametrize(
    ("found", "needed", "grade"),
    [
        ("0010", "0010", Grade.OK),
        ("0011", "0010", Grade.WARN),
        ("0009", "0010", Grade.FAIL),
        (None, "0010", Grade.FAIL),
        (None, None, Grade.WARN),
    ],
)
def test_tables_may_be_newer_never_older(
    found: str | None, needed: str | None, grade: Grade
) -> None:
    assert schema({"found": found, "needed": needed}).grade is grade


def test_another_version_of_the_api_is_a_warning() -> None:
    assert version(__version__).grade is Grade.OK
    assert version("0.0.1").grade is Grade.WARN
    assert version(None).grade is Grade.WARN


def test_a_queue_without_a_worker_fails_and_a_long_one_warns() -> None:
    state = {"ready": 1, "queued": 0, "oldest_queued_s": None}
    found = queues(
        {
            "stt": state,
            "slm": {**state, "ready": 0, "queued": 3},
            "mlm": {**state, "queued": 9, "oldest_queued_s": 900.0},
        }
    )
    assert [(one.name, one.grade) for one in found] == [
        ("queue slm", Grade.FAIL),
        ("queue mlm", Grade.WARN),
        ("queues", Grade.OK),
    ]


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://10.1.2.3", True),
        ("http://api:8000", True),
        ("https://api.example", False),
        ("https://93.184.215.14", False),
    ],
)
def test_what_is_near_is_told_by_its_spelling(url: str, near: bool) -> None:
    assert is_near(url) is near
