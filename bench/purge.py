"""How quickly a purge goes: calls of one turn with three files each, and as many of everything else."""

import argparse
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from time import monotonic

from sqlalchemy import create_engine

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.db import migrate
from callytics.db.engine import make_sessions, unit_of_work
from callytics.domain.retention import Scope
from callytics.embedded.postgres import Postgres
from callytics.embedded.process import free_port, running
from callytics.ports import call_folder
from callytics.services import purge, purge_plans
from tests.support.kept import keep

AGE, LIMIT = timedelta(days=100), timedelta(days=90)
FILES, FILE_BYTES = ("original", "0.wav", "1.wav"), 100_000


def measure(directory: Path, calls: int) -> None:
    server = Postgres(directory=directory / "pg", port=free_port(), password=secrets.token_hex())
    store = ObjectAudioStore((directory / "audio").as_uri())
    with running(server.process(), directory / "log"):
        engine = create_engine(server.url())
        migrate.upgrade(engine)
        sessions = make_sessions(engine)
        for number in range(calls):
            call_id = keep(sessions, f"CL-{number}", age=AGE)
            for name in FILES:
                store.write(f"{call_folder(call_id)}/{name}", [bytes(FILE_BYTES)])
        for scope in (Scope.AUDIO, Scope.TEXT, Scope.ALL):
            with unit_of_work(sessions) as session:
                plan = purge_plans.by_age(session, scope, LIMIT)
            began = monotonic()
            taken = sum(purge.run(sessions, store, plan, actor="bench").values())
            seconds = monotonic() - began
            print(f"{scope}: {taken} rows in {seconds:.1f} s, {taken / seconds:.0f} a second")
        engine.dispose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), parser.parse_args().calls)
