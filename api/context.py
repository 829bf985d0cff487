"""What the API works with: made once, handed to every request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from anyio import CapacityLimiter
from cryptography.fernet import MultiFernet
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from api.askers import Askers
from api.limiter import RateLimiter
from api.metrics import Metrics
from api.together import Together
from api.watch import ChangeWatch
from callytics.adapters.answer_cache import AnswerCache
from callytics.adapters.audio_store import make_audio_store
from callytics.adapters.fetch import HttpFetcher
from callytics.db.engine import make_engine, make_sessions
from callytics.ports import AudioFetcher, UploadStore
from callytics.queueing.app import make_celery
from callytics.queueing.broker import Broker
from callytics.queueing.dispatch import make_classify, make_read_ahead, make_send
from callytics.services import keys
from callytics.services.sentiment import Sentiments
from callytics.services.stage import AnyHint
from callytics.settings import Settings

CACHE_PREFIX = "callytics:sentiment:"

PUBLISH_RETRIES = 2
"""A client waits for the answer; what is not sent now the sweeper sends."""


DECODERS = 2
"""Images decoded at once: each may take hundreds of megabytes (CALLYTICS_DIAGNOSIS__MAX_PIXELS)."""

ASKERS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiContext:
    settings: Settings
    engine: Engine
    sessions: sessionmaker[Session]
    cipher: MultiFernet
    store: UploadStore
    fetcher: AudioFetcher
    read_ahead: Callable[[UUID], None]
    send: Callable[[Iterable[AnyHint]], None]
    limiter: RateLimiter
    cache: AnswerCache
    sentiments: Sentiments
    watch: ChangeWatch
    metrics: Metrics
    watchman: CapacityLimiter
    decoding: CapacityLimiter
    ask: Askers
    together: Together


def make_context(settings: Settings) -> ApiContext:
    engine = make_engine(settings, application="callytics-api")
    sessions = make_sessions(engine, settings.models.routes)
    celery = make_celery(settings, publish_retries=PUBLISH_RETRIES)
    cache = _make_cache(settings, celery.conf.broker_url)
    # Nobody waits longer for a thread than that thread may wait for a connection.
    ask = Askers(ASKERS, wait_s=settings.database.pool_timeout_s)
    return ApiContext(
        settings=settings,
        engine=engine,
        sessions=sessions,
        cipher=keys.make_cipher(settings),
        store=make_audio_store(settings),
        fetcher=HttpFetcher(settings.audio),
        send=make_send(celery),
        read_ahead=make_read_ahead(celery, sessions),
        limiter=RateLimiter(celery.conf.broker_url),
        cache=cache,
        sentiments=Sentiments(sessions, cache, settings.sentiment, tell=make_classify(celery)),
        watch=ChangeWatch(engine.url.render_as_string(hide_password=False)),
        metrics=Metrics(sessions, Broker(celery.conf.broker_url)),
        watchman=CapacityLimiter(1),
        decoding=CapacityLimiter(DECODERS),
        ask=ask,
        together=Together(ask),
    )


def _make_cache(settings: Settings, broker_url: str) -> AnswerCache:
    url = settings.cache_url.get_secret_value() if settings.cache_url else broker_url
    limits = settings.sentiment
    return AnswerCache(url, prefix=CACHE_PREFIX, ttl_s=limits.cache_ttl_s, size=limits.cache_size)
