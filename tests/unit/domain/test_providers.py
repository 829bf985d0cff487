import pytest

from callytics.domain.providers import Outcome, outcome_of, own_name, retry_wait_s


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (302, Outcome.REJECTED),
        (400, Outcome.REJECTED),
        (401, Outcome.UNAUTHORIZED),
        (403, Outcome.UNAUTHORIZED),
        (404, Outcome.NOT_FOUND),
        (408, Outcome.TIMEOUT),
        (413, Outcome.REJECTED),
        (429, Outcome.RATE_LIMITED),
        (500, Outcome.SERVER_ERROR),
        (529, Outcome.SERVER_ERROR),
    ],
)
def test_a_status_says_what_became_of_the_request(status: int, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome


def test_waits_double_and_end_with_the_time_that_is_left() -> None:
    waits = [
        retry_wait_s(number, base_s=0.2, retry_after_s=None, left_s=0.7) for number in (1, 2, 3)
    ]
    assert waits == [0.2, 0.4, None]


@pytest.mark.parametrize(("asked_for_s", "wait_s"), [(0, 0), (3, 3), (5, None), (86400, None)])
def test_the_providers_own_word_counts(asked_for_s: float, wait_s: float | None) -> None:
    assert retry_wait_s(1, base_s=0.2, retry_after_s=asked_for_s, left_s=5) == wait_s


@pytest.mark.parametrize(
    ("server", "name"),
    [
        (None, "vllm"),
        ("http://gpu2:8000/v1", "vllm"),
        ("http://127.0.0.1:18080/v1", "embedded"),
        ("http://localhost:18080/v1", "embedded"),
        ("http://[::1]:18080/v1", "embedded"),
    ],
)
def test_an_engine_on_this_machine_is_the_embedded_one(server: str | None, name: str) -> None:
    assert own_name(server) == name
