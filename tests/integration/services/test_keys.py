import time
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet, MultiFernet
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from callytics.db.engine import unit_of_work
from callytics.db.models import ClientSecret
from callytics.domain import bound_key
from callytics.errors import (
    ClientExistsError,
    ClientNotFoundError,
    ConfigurationError,
    InvalidBoundKeyError,
    InvalidRequestError,
)
from callytics.services import keys
from callytics.settings import Settings

Sessions = sessionmaker[Session]


@pytest.fixture
def cipher(settings: Settings) -> MultiFernet:
    return keys.make_cipher(settings)


def create(sessions: Sessions, cipher: MultiFernet, name: str = "centerlink") -> str:
    with unit_of_work(sessions) as session:
        return keys.create(session, cipher, name=name)


def is_good(sessions: Sessions, cipher: MultiFernet, key: str) -> bool:
    with unit_of_work(sessions) as session:
        try:
            client = keys.authenticate(session, cipher, key, now_s=time.time(), tolerance_s=300)
        except InvalidBoundKeyError:
            return False
        return client.name == key.partition(":")[0]


def test_a_clients_secret_signs_good_keys(sessions: Sessions, cipher: MultiFernet) -> None:
    secret = create(sessions, cipher)
    assert is_good(sessions, cipher, bound_key.make("centerlink", secret, now_s=time.time()))


def test_secrets_are_not_stored_in_clear(sessions: Sessions, cipher: MultiFernet) -> None:
    secret = create(sessions, cipher)
    with sessions() as session:
        (stored,) = session.scalars(select(ClientSecret.ciphertext)).all()
    assert secret.encode() not in stored


def test_each_secret_is_another(sessions: Sessions, cipher: MultiFernet) -> None:
    assert create(sessions, cipher, "a") != create(sessions, cipher, "b")


def test_a_name_is_taken_once(sessions: Sessions, cipher: MultiFernet) -> None:
    create(sessions, cipher)
    with pytest.raises(ClientExistsError):
        create(sessions, cipher)


@pytest.mark.parametrize("name", ["", "a:b", "a b", "-a", "x" * 65, "센터", "a\n"])
def test_a_name_fits_into_a_bound_key(sessions: Sessions, cipher: MultiFernet, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        create(sessions, cipher, name)


def test_who_may_read_the_database_may_sign(sessions: Sessions, cipher: MultiFernet) -> None:
    create(sessions, cipher)
    with unit_of_work(sessions) as session:
        key = keys.sign(session, cipher, name="centerlink", now_s=time.time())
    assert is_good(sessions, cipher, key)


def test_nobody_signs_for_a_client_that_is_not_there_or_disabled(
    sessions: Sessions, cipher: MultiFernet
) -> None:
    with unit_of_work(sessions) as session, pytest.raises(ClientNotFoundError):
        keys.sign(session, cipher, name="centerlink", now_s=0)
    create(sessions, cipher)
    with unit_of_work(sessions) as session:
        keys.disable(session, name="centerlink")
    with unit_of_work(sessions) as session, pytest.raises(InvalidBoundKeyError):
        keys.sign(session, cipher, name="centerlink", now_s=0)


def test_a_rotation_without_overlap_ends_the_older_secret_at_once(
    sessions: Sessions, cipher: MultiFernet
) -> None:
    older = create(sessions, cipher)
    with unit_of_work(sessions) as session:
        newer = keys.rotate(session, cipher, name="centerlink", overlap=timedelta())
    now_s = time.time()
    assert not is_good(sessions, cipher, bound_key.make("centerlink", older, now_s=now_s))
    assert is_good(sessions, cipher, bound_key.make("centerlink", newer, now_s=now_s))


def test_the_secret_key_can_be_rotated_too(
    sessions: Sessions, settings: Settings, cipher: MultiFernet
) -> None:
    secret = create(sessions, cipher)
    assert settings.secret_key
    both = f"{Fernet.generate_key().decode()}, {settings.secret_key.get_secret_value()}"
    newer = keys.make_cipher(settings.model_copy(update={"secret_key": SecretStr(both)}))
    assert is_good(sessions, newer, bound_key.make("centerlink", secret, now_s=time.time()))


def test_a_secret_that_cannot_be_decrypted_is_no_secret(
    sessions: Sessions, cipher: MultiFernet
) -> None:
    secret = create(sessions, cipher)
    other = MultiFernet([Fernet(Fernet.generate_key())])
    with capture_logs() as logs:
        key = bound_key.make("centerlink", secret, now_s=time.time())
        assert not is_good(sessions, other, key)
    assert [entry["event"] for entry in logs] == ["secret_not_decrypted"]


@pytest.mark.parametrize("value", [None, "", "short", "a,b"])
def test_without_a_good_secret_key_nothing_starts(settings: Settings, value: str | None) -> None:
    given = SecretStr(value) if value is not None else None
    with pytest.raises(ConfigurationError, match="CALLYTICS_SECRET_KEY"):
        keys.make_cipher(settings.model_copy(update={"secret_key": given}))
