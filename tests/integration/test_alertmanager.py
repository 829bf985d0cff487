"""What a real Alertmanager makes of the shipped routes, inhibitions and words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.observability import ALERTS, Observer, SlackWebhook, alertmanager, slack
from tests.support.waiting import wait_until


@pytest.fixture
def hook() -> Iterator[SlackWebhook]:
    with slack() as hook:
        yield hook


@pytest.fixture
def watcher(tmp_path: Path, hook: SlackWebhook) -> Iterator[Observer]:
    with alertmanager(tmp_path / "alertmanager", hook.url) as watcher:
        yield watcher


def alert(name: str, **labels: str) -> dict[str, str]:
    """Its labels, as the rule gives them."""
    return {"alertname": name, **ALERTS[name]["labels"], **labels}


def test_what_follows_from_a_database_that_is_away_is_left_unsaid(
    watcher: Observer, hook: SlackWebhook
) -> None:
    watcher.post(
        alert("DatabaseDown"),
        alert("QueueLate", queue="stt"),
        alert("NoReadyWorker", queue="stt"),
        alert("DiskFull", instance="h", mountpoint="/"),
        alert("Watchdog"),
    )

    assert watcher.inhibited() == {
        "DatabaseDown": False,
        "QueueLate": True,
        "NoReadyWorker": True,
        "DiskFull": False,
        "Watchdog": False,
    }
    wait_until(lambda: hook.about("DatabaseDown") and hook.about("DiskFull"))
    for unsaid in ("QueueLate", "NoReadyWorker", "Watchdog"):
        assert not hook.about(unsaid)


def test_a_page_silences_the_ticket_about_the_same_thing_alone(watcher: Observer) -> None:
    watcher.post(
        alert("QueueVeryLate", queue="stt"),
        alert("QueueLate", queue="stt"),
        alert("DiskFull", instance="h", mountpoint="/"),
        alert("DiskFilling", instance="h", mountpoint="/audio"),
    )

    assert watcher.inhibited() == {
        "QueueVeryLate": False,
        "QueueLate": True,
        "DiskFull": False,
        "DiskFilling": False,
    }


def test_one_message_tells_of_all_queues_and_what_to_do(
    watcher: Observer, hook: SlackWebhook
) -> None:
    said = {each: f"The {each}." for each in ("summary", "description", "action")}
    said |= {"runbook": "docs/runbook.md#queuelate", "dashboard": "callytics-overview"}
    watcher.post(alert("QueueLate", queue="mlm"), alert("QueueLate", queue="stt"), said=said)

    [told, *_] = wait_until(lambda: hook.about("QueueLate"))
    assert told["title"] == "Ticket: QueueLate (2 of 2)"
    assert told["color"] == "warning"
    assert told["text"].count("*What to do:* The action.") == 2
    assert told["text"].count("docs/runbook.md#queuelate, dashboard callytics-overview") == 2
    assert told["mrkdwn_in"] == ["text"]

    watcher.post(
        alert("QueueLate", queue="mlm"), alert("QueueLate", queue="stt"), said=said, over=True
    )
    over = wait_until(lambda: [one for one in hook.about("QueueLate") if one["color"] == "good"])
    assert over[0]["title"] == "Over: QueueLate (2)"
    assert over[0]["text"].count("The summary.") == 2
    assert "What to do" not in over[0]["text"]
