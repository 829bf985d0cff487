"""The real application on real servers. What it sends to the broker goes to the test's pipeline."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from api.app import make_app
from api.context import ApiContext, make_context
from api.limiter import RateLimiter
from callytics.adapters.fetch import HttpFetcher
from callytics.db.engine import unit_of_work
from callytics.domain.jobs import JobKind
from callytics.domain.scopes import Scope
from callytics.services import keys
from callytics.services.batch_items import AnalysisWork
from callytics.settings import Settings
from tests.support.api import ApiClient
from tests.support.chat import ScriptedChat
from tests.support.pipeline import Pipeline

NAMES: Mapping[str, Sequence[str]] = {
    "public.example": ["93.184.215.14"],
    "private.example": ["10.0.0.7"],
    "both.example": ["93.184.215.14", "127.0.0.1"],
    "0": ["0.0.0.0"],
}
"""The hosts that these tests know; no name is looked up outside."""

A_MINUTE_S = 1_789_992_000
"""A full minute: the rate limiter's clock stands 20 s behind it."""


def resolve(host: str, port: int) -> Sequence[str]:
    with suppress(ValueError):
        return [str(ip_address(host))]
    if host in NAMES:
        return NAMES[host]
    raise OSError("no such host")


@pytest.fixture
def audio_root(tmp_path: Path) -> Path:
    root = tmp_path / "recordings"
    root.mkdir()
    return root


@pytest.fixture
def settings(settings: Settings, audio_root: Path) -> Settings:
    audio = settings.audio.model_copy(update={"roots": (audio_root,), "max_bytes": 100_000})
    return settings.model_copy(update={"audio": audio})


@pytest.fixture
def pipeline(sessions: sessionmaker[Session]) -> Pipeline:
    return Pipeline(sessions)


@pytest.fixture
def context(settings: Settings, pipeline: Pipeline, redis_url: str) -> ApiContext:
    return replace(
        make_context(settings),
        fetcher=HttpFetcher(settings.audio, resolve=resolve),
        send=pipeline.send,
        limiter=RateLimiter(redis_url, clock=lambda: A_MINUTE_S + 20),
    )


@pytest.fixture
def chat(pipeline: Pipeline) -> ScriptedChat:
    """The medium model, which whoever runs the pipeline has."""
    chat = ScriptedChat()
    pipeline.jobs[JobKind.ANALYSIS] = AnalysisWork(chat.named)
    return chat


@pytest.fixture
def http(context: ApiContext) -> Iterator[TestClient]:
    with TestClient(make_app(context), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def new_client(context: ApiContext, http: TestClient) -> Callable[..., ApiClient]:
    def make(
        name: str, *, scopes: Iterable[Scope] = tuple(Scope), limit: int | None = None
    ) -> ApiClient:
        with unit_of_work(context.sessions) as session:
            secret = keys.create(
                session, context.cipher, name=name, scopes=scopes, rate_limit_per_minute=limit
            )
        return ApiClient(http, name, secret)

    return make


@pytest.fixture
def client(new_client: Callable[..., ApiClient]) -> ApiClient:
    return new_client("centerlink")
