import json
import time

import pytest
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.domain import bound_key
from callytics.services import keys
from callytics.settings import Settings
from tests.integration.cli.conftest import Run


def create(run: Run, name: str) -> str:
    result = run("clients", "create", name, "--json")
    assert result.exit_code == 0, result.stderr
    return str(json.loads(result.stdout)["secret"])


def is_good(key: str, secret: str) -> bool:
    parsed = bound_key.parse(key)
    assert parsed is not None
    return bound_key.check(parsed, [secret], now_s=time.time(), tolerance_s=5)


def test_create_prints_the_id_and_the_secret(run: Run) -> None:
    answer = json.loads(run("clients", "create", "centerlink", "--json").stdout)
    assert answer.keys() == {"client_id", "secret"}
    assert answer["client_id"] == "centerlink"


def test_create_prints_the_secret_alone_for_a_script(run: Run) -> None:
    secret = run("clients", "create", "centerlink").stdout.strip()
    assert is_good(run("bound-key", "--client", "centerlink").stdout.strip(), secret)


def test_a_bound_key_is_printed_and_nothing_else(run: Run) -> None:
    secret = create(run, "centerlink")
    result = run("bound-key", "--client", "centerlink")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == result.stdout.strip() + "\n"
    assert is_good(result.stdout.strip(), secret)


def test_the_command_lines_own_client_comes_with_its_first_use(run: Run) -> None:
    assert run("bound-key").exit_code == 0
    assert run("bound-key").exit_code == 0
    assert [each["client_id"] for each in json.loads(run("clients", "list", "--json").stdout)] == [
        "cli"
    ]


def test_a_secret_of_the_environment_needs_no_database(run: Run) -> None:
    remote = {"DATABASE_URL": "postgresql://nowhere/x", "CLIENT__NAME": "branch"}
    result = run("bound-key", **remote, CLIENT__SECRET="s")
    assert result.exit_code == 0
    assert is_good(result.stdout.strip(), "s")


def test_after_a_rotation_keys_are_signed_with_the_new_secret(
    run: Run, sessions: sessionmaker[Session], settings: Settings
) -> None:
    old = create(run, "centerlink")
    new = json.loads(run("clients", "rotate", "centerlink", "--json").stdout)["secret"]
    assert is_good(run("bound-key", "--client", "centerlink").stdout.strip(), new)
    with unit_of_work(sessions) as session:  # the old one goes on for a while
        keys.authenticate(
            session,
            keys.make_cipher(settings),
            bound_key.make("centerlink", old, now_s=time.time()),
            now_s=time.time(),
            tolerance_s=5,
        )


def test_a_disabled_client_gets_no_key_until_it_is_enabled(run: Run) -> None:
    create(run, "centerlink")
    assert run("clients", "disable", "centerlink").exit_code == 0
    assert run("bound-key", "--client", "centerlink").exit_code == 5
    assert "disabled" in run("clients", "list").stdout
    assert run("clients", "enable", "centerlink").exit_code == 0
    assert run("bound-key", "--client", "centerlink").exit_code == 0


@pytest.mark.parametrize(
    "command", [("bound-key", "--client"), ("clients", "rotate"), ("clients", "disable")]
)
def test_an_unknown_client_is_not_found(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "nobody")
    assert (result.exit_code, result.stdout) == (4, "")


def test_a_name_is_taken_once(run: Run) -> None:
    create(run, "centerlink")
    result = run("clients", "create", "centerlink")
    assert result.exit_code == 1
    assert "(client_exists)" in result.stderr


def test_a_client_may_be_given_less(run: Run) -> None:
    run("clients", "create", "viewer", "--scope", "calls:read", "--rate-limit", "10")
    (client,) = json.loads(run("clients", "list", "--json").stdout)
    assert client["scopes"] == ["calls:read"]
    assert client["rate_limit_per_minute"] == 10
    assert client["enabled"] is True


def test_no_listing_shows_a_secret(run: Run) -> None:
    secret = create(run, "centerlink")
    assert secret not in run("clients", "list", "--json").output
    assert secret not in run("clients", "list").output


class TestApiKeys:
    def test_a_key_is_shown_once_and_known_by_how_it_begins(self, run: Run) -> None:
        create(run, "shop")
        made = run("api-keys", "create", "shop", "--name", "reviews", "--days", "30")
        key = made.stdout.strip()
        assert key.startswith("cak_")

        listed = run("api-keys", "list", "shop", "--json").stdout
        (row,) = json.loads(listed)
        assert (key[:12], "reviews") == (row["begins"], row["name"])
        assert row["expires_at"]
        assert row["revoked_at"] is None
        assert key not in listed + run("api-keys", "list", "shop").stdout

    def test_a_revoked_key_is_shown_as_such(self, run: Run) -> None:
        create(run, "shop")
        key = run("api-keys", "create", "shop").stdout.strip()
        assert run("api-keys", "revoke", "shop", key[:12]).exit_code == 0
        (row,) = json.loads(run("api-keys", "list", "shop", "--json").stdout)
        assert row["revoked_at"]

    def test_what_is_not_there_is_not_found(self, run: Run) -> None:
        assert run("api-keys", "create", "nobody").exit_code == 4
        create(run, "shop")
        assert run("api-keys", "revoke", "shop", "cak_nothing").exit_code == 4

    def test_a_name_that_is_too_long_is_refused(self, run: Run) -> None:
        create(run, "shop")
        refused = run("api-keys", "create", "shop", "--name", "x" * 65)
        assert refused.exit_code != 0
        assert "64 characters" in refused.stderr
