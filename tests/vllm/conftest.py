"""A real vLLM that serves the small model, and our own processes that ask it: `make test-vllm`."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import httpx2
import pytest
from cryptography.fernet import Fernet
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.embedded.process import Process, free_port, running
from callytics.model_files import resolve
from callytics.services import keys
from callytics.settings import LlmSettings, Settings, get_settings
from tests.support.api import ApiClient
from tests.support.receiver import CLIENT
from tests.support.stack import servers, spawn, wait_ready
from tests.support.waiting import wait_until
from workers.runtimes.chat import OpenAiChat

PYTHON = Path(".venv-vllm/bin/python").absolute()
MODEL = "qwen2.5-coder-0.5b-instruct-q4_k_m"
START_TIMEOUT_S = 600
CONTEXT_TOKENS = "4096"


@pytest.fixture(scope="session")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = resolve(MODEL, Settings())
    assert isinstance(where, Path)
    [gguf] = where.glob("*.gguf")
    folder = tmp_path_factory.mktemp("model") / MODEL
    script = Path(__file__).with_name("as_hub_folder.py")
    subprocess.run([PYTHON, script, gguf, folder], check=True, timeout=START_TIMEOUT_S)
    return folder


@pytest.fixture(scope="session")
def vllm(hub_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its base URL."""
    port = free_port()
    options = {
        "--model": str(hub_folder),
        "--served-model-name": MODEL,
        "--port": str(port),
        "--host": "127.0.0.1",
        "--max-model-len": CONTEXT_TOKENS,
        # A CPU without instructions for bfloat16 takes minutes for a prompt.
        "--dtype": "float32",
    }
    process = Process(
        name="vllm",
        command=(
            str(PYTHON),
            "-m",
            "vllm.entrypoints.openai.api_server",
            *(word for option in options.items() for word in option),
            # Compiling takes longer on two cores than all that is asked here.
            "--enforce-eager",
        ),
        env={
            "VLLM_CPU_KVCACHE_SPACE": "1",
            # All cores: by itself it leaves one of them alone, which is half of two.
            "VLLM_CPU_OMP_THREADS_BIND": f"0-{(os.cpu_count() or 1) - 1}",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
        ready=lambda _pid: _answers(f"http://127.0.0.1:{port}/health"),
    )
    log = tmp_path_factory.mktemp("vllm") / "log"
    with running(process, log, timeout_s=START_TIMEOUT_S):
        yield f"http://127.0.0.1:{port}/v1"


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def chat(vllm: str) -> Iterator[OpenAiChat]:
    settings = Settings(llm=LlmSettings(base_url=vllm))
    model = settings.models.analyse.model_copy(update={"model": MODEL})
    chat = OpenAiChat.load(model, where=MODEL, device="cpu", threads=None, settings=settings)
    yield chat
    chat.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Centre:
    """A client of our API whose workers ask vLLM."""

    client: ApiClient
    sessions: sessionmaker[Session]


@pytest.fixture
def centre(vllm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Centre]:
    """PostgreSQL, Valkey, API and the workers of both chat models and of callbacks."""
    said = {
        "CALLYTICS_SECRET_KEY": Fernet.generate_key().decode(),
        "CALLYTICS_LLM__BASE_URL": vllm,
        "CALLYTICS_MODELS__SUMMARIZE__MODEL": MODEL,
        "CALLYTICS_MODELS__ANALYSE__MODEL": MODEL,
        "CALLYTICS_CALLBACKS__ALLOWED_HOSTS": "127.0.0.1",
        # On a CPU it takes its time; what is asked here is whether the two understand each other.
        "CALLYTICS_QUICK_SUMMARY__BUDGET_S": "60",
    }
    for name in ("CALLYTICS_DATABASE_URL", "CALLYTICS_REDIS_URL", "CALLYTICS_STATE_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # so that it is set back
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    with ExitStack() as stack:
        settings, sessions = stack.enter_context(servers(tmp_path))
        with unit_of_work(sessions) as session:
            secret = keys.create(session, keys.make_cipher(settings), name=CLIENT)
        port = free_port()
        stack.enter_context(spawn("uvicorn", "api.app:create_app", "--factory", f"--port={port}"))
        for queues in ("slm", "mlm", "callback"):
            wait_ready(sessions, stack.enter_context(spawn("workers", "--queues", queues)))
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(f"{url}/health/live"))
        http = stack.enter_context(httpx2.Client(base_url=url, timeout=120))
        yield Centre(client=ApiClient(http, CLIENT, secret), sessions=sessions)
