"""Bound keys for the command line: signed with the secret it was given, or with the local stack's."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from callytics.cli import local
from callytics.cli.problems import CommandError, ExitCode
from callytics.domain import bound_key

if TYPE_CHECKING:
    from callytics.settings import Settings


@contextmanager
def signer(client: str | None) -> Iterator[Callable[[], str]]:
    """Makes keys of `client` (None: the configured one)."""
    settings = local.settings()
    own = settings.client
    name = client or own.name
    if own.secret is not None and name == own.name:
        secret = own.secret.get_secret_value()
        yield lambda: bound_key.make(name, secret, now_s=time.time())
    elif settings.database_url is not None and settings.secret_key is not None:
        with _local_signer(settings, name) as make_key:
            yield make_key
    else:
        raise CommandError(
            f"No stack runs in {settings.state_dir}, and there is no secret to sign as {name!r} with: "
            "start it with `callytics up`, or set CALLYTICS_CLIENT__NAME and CALLYTICS_CLIENT__SECRET.",
            ExitCode.UNREACHABLE,
        )


@contextmanager
def _local_signer(settings: "Settings", name: str) -> Iterator[Callable[[], str]]:
    """Who may read the stack's database may sign as any of its clients."""
    from sqlalchemy.exc import IntegrityError

    from callytics.db.engine import unit_of_work
    from callytics.errors import ClientNotFoundError
    from callytics.services import keys

    cipher = keys.make_cipher(settings)
    with local.sessions() as sessions:

        def make_key() -> str:
            with local.faults(), unit_of_work(sessions) as session:
                return keys.sign(session, cipher, name=name, now_s=time.time())

        try:
            make_key()
        except ClientNotFoundError:
            if name != settings.client.name:
                raise
            # The command line's own client comes with its first use, or with another's at this moment.
            with suppress(IntegrityError), unit_of_work(sessions) as session:
                keys.create(session, cipher, name=name)
        yield make_key
