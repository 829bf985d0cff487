"""Runs, watches and stops the local stack.

What the environment configures is used as it is; what it does not, a database say, is started here
and published in the state directory, where every process of this user finds it by its settings.
"""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from callytics.domain.providers import EMBEDDED
from callytics.domain.stages import Queue
from callytics.embedded.parts import MLM_ENGINE, SLM_ENGINE, application, llm_engine
from callytics.embedded.postgres import Postgres
from callytics.embedded.process import POLL_S, Process, free_port, launched, open_log
from callytics.embedded.state_dir import StateDir
from callytics.embedded.supervisor import Event, State, Supervisor
from callytics.embedded.valkey import Valkey
from callytics.errors import ConfigurationError, StackFailedError
from callytics.model_files.locate import resolve
from callytics.settings import ModelSettings, Settings

OnEvent = Callable[[Event], None]

# Below the range that the system takes the local ports of connections from.
POSTGRES_PORT, VALKEY_PORT = 15432, 16379


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A chat model without a server gets an engine of its own: a batch must not hold a summary up.

    The worker asks for as many answers at once as the engine has `slots`: what it has asked for cannot
    be overtaken any more. Two cores write one summary in the time that they have for it
    (docs/measurements.md); analyses gain from being written together. `also` are tasks that it serves
    beside, where they have the same model and no server either.
    """

    task: str
    queue: Queue
    name: str
    port: int
    slots: int
    also: tuple[str, ...] = ()


ENGINES = (
    Engine(task="summarize", queue=Queue.SLM, name=SLM_ENGINE, port=18080, slots=1),
    Engine(
        task="analyse",
        queue=Queue.MLM,
        name=MLM_ENGINE,
        port=18081,
        slots=4,
        also=("diagnosis_text",),
    ),
)

STOP_TIMEOUT_S = 60

SAMPLES = Path(__file__).parents[2] / "samples"
"""Recordings that the local stack may read by `audio_path` where nothing else is said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StackStatus:
    pid: int | None
    """The supervisor; None: the stack does not run."""
    parts: Mapping[str, Event]
    """How each part stands, in order of start."""

    @property
    def ready(self) -> bool:
        return bool(self.parts) and all(part.state is State.READY for part in self.parts.values())


def run_stack(settings: Settings, *, on_event: OnEvent) -> int:
    """Run the stack of `settings.state_dir` until a signal comes (0) or a part is given up (1).

    Raises StackRunningError if it runs already. Only for the main thread.
    """
    home = StateDir(settings.state_dir)
    with home.locked():
        home.withdraw()  # what a stack that was killed left behind
        try:
            supervisor = _assemble(home, on_event)
            return asyncio.run(supervisor.run())
        finally:
            home.withdraw()


def start_detached(
    settings: Settings, *, on_event: OnEvent, timeout_s: float = 300, tied: bool = False
) -> None:
    """Start the stack in a process of its own; returns when every part is ready, models included.

    It outlives this process unless it is `tied` to it. Raises StackRunningError if it runs already, and
    StackFailedError, with nothing left running, if a part is given up or is not ready in time.
    """
    home = StateDir(settings.state_dir)
    with home.locked():
        home.note({})
    home.logs.mkdir(mode=0o700, exist_ok=True)
    log = home.logs / "stack.log"
    command = [sys.executable, "-m", "callytics.embedded"]
    with open_log(log) as output:
        stack = subprocess.Popen(  # noqa: S603
            launched(command) if tied else command,
            env={**os.environ, "CALLYTICS_STATE_DIR": str(home.path)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _follow(home, stack, log, on_event, time.monotonic() + timeout_s)
    except BaseException:
        _end(stack)
        raise


def _end(stack: subprocess.Popen[bytes]) -> None:
    stack.terminate()
    try:
        stack.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        stack.kill()  # its parts die with it


def _follow(
    home: StateDir, stack: subprocess.Popen[bytes], log: Path, on_event: OnEvent, give_up_at: float
) -> None:
    """Pass on the events of the detached `stack` until all is ready."""
    seen: Mapping[str, Event] = {}
    while True:
        ended = stack.poll() is not None
        now = StackStatus(pid=stack.pid, parts=home.parts())
        for event in now.parts.values():
            if seen.get(event.part) != event:
                on_event(event)
        seen = now.parts
        if now.ready:
            return
        if ended:
            raise StackFailedError(_why(now, log))
        if time.monotonic() > give_up_at:
            late = ", ".join(part.part for part in seen.values() if part.state is not State.READY)
            raise StackFailedError(f"Not ready in time: {late}; see {home.logs}")
        time.sleep(POLL_S)


def _why(ended: StackStatus, log: Path) -> str:
    for part in ended.parts.values():
        if part.state is State.FAILED:
            return f"{part.part} {part.detail}"
    return log.read_text().strip().rpartition("\n")[2]


def stop(settings: Settings, *, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Stop the stack, the stages in hand finished or handed back; False if none ran."""
    home = StateDir(settings.state_dir)
    pid = home.pid()
    if pid is None:
        return False
    with suppress(ProcessLookupError):  # it has just ended
        stack = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(stack, signal.SIGTERM)
            # The process itself, not the lock that it gives up a moment before: then nothing is left.
            if not select.select([stack], [], [], timeout_s)[0]:
                signal.pidfd_send_signal(stack, signal.SIGKILL)  # its parts die with it
                select.select([stack], [], [])
        finally:
            os.close(stack)
    return True


def status(settings: Settings) -> StackStatus:
    home = StateDir(settings.state_dir)
    pid = home.pid()
    return StackStatus(pid=pid, parts=home.parts() if pid else {})


def _assemble(home: StateDir, on_event: OnEvent) -> Supervisor:
    """Decide what runs where, publish it, and make the list of parts of it."""
    wanted = Settings(state_dir=home.path)
    servers, published = _servers(wanted, home)
    home.publish(published)
    settings = Settings(state_dir=home.path)
    parts = [*servers, *application(settings, {server.name for server in servers})]
    noted: dict[str, Event] = {}

    def note(event: Event) -> None:
        noted[event.part] = event
        home.note(noted)
        on_event(event)

    supervisor = Supervisor(parts, home.logs, note)
    for name, first_choice in (("api", wanted.api.port), ("flower", wanted.flower.port)):
        if moved := _moved(name, first_choice, published[name]["port"], settings):
            note(moved)
    return supervisor


def _moved(name: str, first_choice: int, port: int, settings: Settings) -> Event | None:
    """What to say of a part whose port was taken; one that the environment fixes stays what it is."""
    if getattr(settings, name).port != port:
        raise ConfigurationError(
            f"Port {first_choice} is not to be had: free it, or change CALLYTICS_{name.upper()}__PORT."
        )
    if first_choice in {port, 0}:
        return None
    detail = f"port {first_choice} is taken, so it will be {port}"
    return Event(part=name, state=State.WAITING, detail=detail)


def _servers(wanted: Settings, home: StateDir) -> tuple[list[Process], dict[str, Any]]:
    """The servers that nobody configured, and the settings by which the rest finds all of them."""
    secrets = home.secrets()
    servers: list[Process] = []
    choose_port = _port_chooser()
    published: dict[str, Any] = {
        "database_url": _clear(wanted.database_url),
        "redis_url": _clear(wanted.redis_url),
        "secret_key": _clear(wanted.secret_key) or secrets.secret_key,
        "api": {"port": choose_port(wanted.api.port)},
        "flower": {
            "port": choose_port(wanted.flower.port),
            "basic_auth": _clear(wanted.flower.basic_auth)
            or f"callytics:{secrets.flower_password}",
        },
    }
    if wanted.database_url is None:
        postgres = Postgres(
            directory=home.path / "postgres",
            port=choose_port(POSTGRES_PORT),
            password=secrets.postgres_password,
        )
        published["database_url"] = postgres.url()
        servers.append(postgres.process())
    if wanted.redis_url is None:
        valkey = Valkey(
            directory=home.path / "valkey",
            port=choose_port(VALKEY_PORT),
            password=secrets.valkey_password,
        )
        published["redis_url"] = valkey.url
        servers.append(valkey.process())
    if wanted.llm.base_url is None:
        for engine in ENGINES:
            model: ModelSettings = getattr(wanted.models, engine.task)
            if model.server is None and EMBEDDED in (model.providers or (EMBEDDED,)):
                port = choose_port(engine.port)
                url = f"http://127.0.0.1:{port}/v1"
                for task in (engine.task, *engine.also):
                    served: ModelSettings = getattr(wanted.models, task)
                    if served.server is None and served.model == model.model:
                        published.setdefault("models", {})[task] = {"server": url}
                concurrency = {"concurrency": engine.slots}
                published.setdefault("workers", {})[engine.queue.value] = concurrency
                servers.append(
                    llm_engine(
                        _gguf(model.model, wanted),
                        alias=model.model,
                        port=port,
                        name=engine.name,
                        slots=engine.slots,
                    )
                )
    if not wanted.audio.roots and SAMPLES.is_dir():
        published["audio"] = {"roots": [str(SAMPLES)]}
    return servers, published


def _port_chooser() -> Callable[[int], int]:
    """Free ports, each given once."""
    given: set[int] = set()

    def choose(preferred: int) -> int:
        port = free_port(preferred, but=given)
        given.add(port)
        return port

    return choose


def _clear(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _gguf(model: str, settings: Settings) -> Path:
    folder = resolve(model, settings)
    file = next(folder.glob("*.gguf"), None) if isinstance(folder, Path) else None
    if file is None:
        raise ConfigurationError(
            f"{model} is no GGUF file that could be served here: set CALLYTICS_LLM__BASE_URL."
        )
    return file
