"""Keys and passwords are changed while everything runs, by the steps of docs/operations.md."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis
from cryptography.fernet import Fernet, MultiFernet
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from callytics.db import migrate
from callytics.db.clients import Clients
from callytics.db.engine import make_sessions, unit_of_work
from callytics.db.models import Client
from callytics.embedded.postgres import Postgres
from callytics.errors import ConfigurationError
from callytics.services import keys
from callytics.settings import Settings
from tests.support.waiting import wait_until

Sessions = sessionmaker[Session]


def with_key(settings: Settings, *secret_keys: str) -> Settings:
    return settings.model_copy(update={"secret_key": SecretStr(",".join(secret_keys))})


def signs(sessions: sessionmaker[Session], settings: Settings) -> bool:
    with unit_of_work(sessions) as session:
        client_id = session.scalars(select(Client.id)).one()
        return bool(keys.live_secrets(session, keys.make_cipher(settings), client_id))


def test_the_secret_key(sessions: sessionmaker[Session], settings: Settings) -> None:
    assert settings.secret_key is not None
    old, new = settings.secret_key.get_secret_value(), Fernet.generate_key().decode()
    with unit_of_work(sessions) as session:
        keys.create(session, keys.make_cipher(settings), name="desk")
    assert signs(sessions, with_key(settings, new, old))
    assert not signs(sessions, with_key(settings, new))
    with unit_of_work(sessions) as session:
        assert keys.encrypt_anew(session, keys.make_cipher(with_key(settings, new, old))) == 1
    assert signs(sessions, with_key(settings, new))
    with pytest.raises(ConfigurationError), unit_of_work(sessions) as session:
        keys.encrypt_anew(session, keys.make_cipher(with_key(settings, old)))
    assert signs(sessions, with_key(settings, new))


def test_a_secret_of_a_key_that_is_lost_goes_with_a_rotation_of_its_client(
    sessions: Sessions, settings: Settings
) -> None:
    """As after a restore without the secret key (docs/backup.md)."""
    own, foreign = keys.make_cipher(settings), MultiFernet([Fernet(Fernet.generate_key())])
    with unit_of_work(sessions) as session:
        keys.create(session, own, name="desk")
        keys.create(session, foreign, name="lost")
    with pytest.raises(ConfigurationError, match="rotate lost"), unit_of_work(sessions) as session:
        keys.encrypt_anew(session, own)
    with unit_of_work(sessions) as session:
        keys.rotate(session, own, name="lost", overlap=timedelta(0))
    with unit_of_work(sessions) as session:
        assert keys.encrypt_anew(session, own) == 2


def test_a_rotation_and_a_new_encryption_at_once_follow_one_another(
    sessions: Sessions, settings: Settings
) -> None:
    cipher = keys.make_cipher(settings)
    with unit_of_work(sessions) as session:
        keys.create(session, cipher, name="desk")
        keys.rotate(session, cipher, name="desk", overlap=timedelta(hours=1))

    def encrypt() -> int:
        with unit_of_work(sessions) as session:
            return keys.encrypt_anew(session, cipher)

    with ThreadPoolExecutor() as pool:
        with unit_of_work(sessions) as session:
            # What `rotate` does, with secrets in an unlucky order.
            clients = Clients(session)
            client = clients.lock("desk")
            _, last = sorted(clients.live_secrets(client.id), key=lambda secret: secret.id)
            clients.let_expire(last, timedelta(hours=1))
            encrypted = pool.submit(encrypt)
            wait_until(lambda: somebody_waits(sessions))
            clients.drop_secrets(client.id, keep=[last.id])
        assert encrypted.result() == 1


def somebody_waits(sessions: Sessions) -> bool:
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with sessions() as session:
        return bool(session.execute(text(query)).all())


def test_the_broker_takes_two_passwords_for_a_while(redis_url: str) -> None:
    new_url = redis_url.replace(f":{password_of(redis_url)}@", ":another@")
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", "default", ">another")
        try:
            with redis.Redis.from_url(new_url) as rolled:
                assert rolled.ping()
            assert admin.ping()
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "<another")
    with redis.Redis.from_url(new_url) as refused, pytest.raises(redis.AuthenticationError):
        refused.ping()


def password_of(url: str) -> str:
    return url.partition("://:")[2].partition("@")[0]


@pytest.fixture
def roles(postgres: Postgres, empty_database_url: str) -> Iterator[tuple[Engine, str]]:
    admin = create_engine(empty_database_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE ROLE app LOGIN PASSWORD 'old'"))
        connection.execute(text("GRANT ALL ON SCHEMA public TO app"))
    yield admin, empty_database_url
    with admin.connect() as connection:
        connection.execute(text("DROP OWNED BY app"))
        for role in ("app_2", "app"):
            connection.execute(text(f"DROP ROLE IF EXISTS {role}"))
    admin.dispose()


def test_the_database_takes_a_second_role_for_a_while(roles: tuple[Engine, str]) -> None:
    admin, url = roles
    database = url.rpartition("@")[2]
    old = create_engine(f"postgresql+psycopg://app:old@{database}")
    new = create_engine(f"postgresql+psycopg://app_2:new@{database}")
    migrate.upgrade(old)
    with admin.connect() as connection:
        connection.execute(text("CREATE ROLE app_2 LOGIN PASSWORD 'new' IN ROLE app"))
        connection.execute(text("ALTER ROLE app_2 SET role = 'app'"))
    for engine in (old, new):
        with unit_of_work(make_sessions(engine)) as session:
            session.add(Client(name=f"by-{engine.url.username}"))
    with admin.connect() as connection:
        connection.execute(text("ALTER ROLE app NOLOGIN"))
    old.dispose()
    with pytest.raises(OperationalError), old.connect():
        pass
    migrate.check(new)
    for engine in (old, new):
        engine.dispose()
