import os
import stat
from pathlib import Path

import pytest

from callytics.embedded.state_dir import StateDir
from callytics.embedded.supervisor import Event, State
from callytics.errors import StackRunningError
from callytics.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


def test_one_process_at_a_time_holds_the_stack(home: StateDir) -> None:
    assert home.pid() is None
    with home.locked():
        assert home.pid() == os.getpid()
        with pytest.raises(StackRunningError), home.locked():
            pass
    assert home.pid() is None


def test_settings_find_what_is_published_and_lose_what_is_withdrawn(home: StateDir) -> None:
    with home.locked():
        home.publish({"redis_url": "redis://here", "api": {"port": 8123}})
        found = Settings(state_dir=home.path)
        assert found.redis_url is not None
        assert (found.redis_url.get_secret_value(), found.api.port) == ("redis://here", 8123)
        home.withdraw()
        assert Settings(state_dir=home.path).redis_url is None


def test_the_environment_wins_over_what_is_published(
    home: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLYTICS_API__HOST", "127.0.0.9")
    with home.locked():
        home.publish({"api": {"port": 8123, "host": "127.0.0.1"}})
        assert Settings(state_dir=home.path).api.url == "http://127.0.0.9:8123"


def test_secrets_are_made_once(home: StateDir) -> None:
    with home.locked():
        made = home.secrets()
        assert home.secrets() == made
    assert StateDir(home.path).secrets() == made


def test_only_the_owner_reads_it(home: StateDir) -> None:
    with home.locked():
        home.secrets()
        home.publish({})
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.path.iterdir()}
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert modes["secrets.json"] == modes["stack.json"] == 0o600


def test_what_was_noted_of_the_parts_is_read_back_in_order(home: StateDir) -> None:
    assert home.parts() == {}
    events = [
        Event(part="b", state=State.READY, seconds=1.5),
        Event(part="a", state=State.FAILED, detail="x"),
    ]
    with home.locked():
        home.note({event.part: event for event in events})
    assert list(home.parts().values()) == events
