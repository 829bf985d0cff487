"""Which provider answers a chat model's task, by the settings and by what somebody chose since."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import statement_by_statement
from callytics.db.heartbeats import Heartbeats
from callytics.db.providers import ProviderChoices, ProviderUsages
from callytics.domain.providers import (
    EMBEDDED,
    HOSTED,
    OPENAI,
    OWN,
    TASKS,
    VLLM,
    BreakerState,
    Use,
    own_name,
    task_of,
)
from callytics.errors import (
    ConfigurationError,
    InvalidRequestError,
    ProviderNotReadyError,
    UnknownProviderError,
    UnknownTaskError,
)
from callytics.settings import ModelSettings, ProviderSettings, Settings

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
"""How old what a process knows of the choices may be, in seconds."""

HOSTED_TIMEOUT_S = 15.0
"""A hosted provider gets so long for a request where no setting says otherwise (the customer: 15 to 20)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """A server that may answer `task`, and how it is asked."""

    name: str
    task: str
    model: str
    """What it calls the model."""
    base_url: str = field(repr=False)
    api_key: SecretStr | None
    retries: int
    retry_base_s: float
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    settings: ProviderSettings = field(default_factory=ProviderSettings)

    @property
    def own(self) -> bool:
        return self.name in OWN

    @property
    def server(self) -> str:
        """Host and port, without what else an address may hold."""
        url = urlsplit(self.base_url)
        return f"{url.hostname}:{url.port or url.scheme}"

    @property
    def key_setting(self) -> str:
        return "CALLYTICS_LLM__API_KEY" if self.own else setting(self.name, "api_key")

    @property
    def address_setting(self) -> str:
        return "CALLYTICS_LLM__BASE_URL" if self.own else setting(self.name, "base_url")

    @property
    def model_setting(self) -> str:
        own = f"CALLYTICS_MODELS__{TASKS[self.task]}__MODEL".upper()
        return own if self.own else setting(self.name, f"models__{self.task}")

    def limit_s(self, *, share_s: float, left_s: float) -> float:
        """How long one request may take where all providers together have `left_s`, this one `share_s`."""
        usual_s = min(share_s, HOSTED_TIMEOUT_S) if self.name in HOSTED else share_s
        return min(self.settings.timeout_s or usual_s, left_s)

    def sampling(self, *, max_tokens: int, temperature: float) -> Mapping[str, Any]:
        """These two as its requests carry them."""
        # vLLM, which RunPod runs too, knows both names (vllm#9837); older servers know the old one alone.
        usual = "max_completion_tokens" if self.name == OPENAI else "max_tokens"
        said: dict[str, Any] = {self.settings.max_tokens_field or usual: max_tokens}
        if self.settings.temperature != "null":
            said["temperature"] = temperature
        return said

    def cost_usd(self, prompt_tokens: int, output_tokens: int) -> float:
        price_in = self.settings.usd_per_million_input or 0.0
        price_out = self.settings.usd_per_million_output or 0.0
        return (prompt_tokens * price_in + output_tokens * price_out) / 1e6


def tasks(settings: Settings) -> tuple[str, ...]:
    """Every task that has a model."""
    configured = {task for task, model in settings.models if model is not None}
    return tuple(task for task, model in TASKS.items() if model in configured)


def names(settings: Settings) -> tuple[str, ...]:
    """Every provider that is known, configured or not."""
    return tuple(dict.fromkeys([EMBEDDED, VLLM, *HOSTED, *settings.providers]))


def model_of(task: str, settings: Settings) -> ModelSettings:
    """Raises UnknownTaskError."""
    if task not in tasks(settings):
        raise UnknownTaskError(
            f"No chat model has the task `{task}`; there are {', '.join(tasks(settings))}."
        )
    model: ModelSettings = getattr(settings.models, TASKS[task])
    return model


def default_order(task: str, settings: Settings) -> tuple[str, ...]:
    """Who answers for `task` while nobody has chosen otherwise."""
    model = model_of(task, settings)
    return model.providers or (own_name(model.server),)


def resolve(name: str, task: str, settings: Settings) -> Provider:
    """The provider `name` for `task`; raises ConfigurationError that names the setting which it lacks."""
    if name not in names(settings):
        raise UnknownProviderError(
            f"There is no provider `{name}`; there are {', '.join(names(settings))}. "
            f"{setting(name, 'base_url')} makes it one."
        )
    return provider_of(model_of(task, settings), name, task, settings)


def provider_of(model: ModelSettings, name: str, task: str, settings: Settings) -> Provider:
    """As `resolve`, for a model that need not be the configured one."""
    said = settings.providers.get(name, ProviderSettings())
    address = said.base_url or _known_address(name, model, settings)
    if address is None:
        raise ConfigurationError(_without_address(name))
    own = name in OWN
    key = _key(name, settings)
    if key is None and name in HOSTED:
        raise ConfigurationError(f"{name} wants a key: set {setting(name, 'api_key')}.")
    return Provider(
        name=name,
        task=task,
        model=said.models.get(task, model.model),
        base_url=address,
        api_key=key,
        retries=(0 if own else 1) if model.retries is None else model.retries,
        retry_base_s=model.retry_base_s,
        extra_body={**(model.options.get("extra_body", {}) if own else {}), **said.extra_body},
        settings=said,
    )


def usable(task: str, settings: Settings) -> tuple[str, ...]:
    """Those that lack no setting for `task`."""
    return tuple(name for name in names(settings) if _lacks_nothing(name, task, settings))


def _lacks_nothing(name: str, task: str, settings: Settings) -> bool:
    try:
        resolve(name, task, settings)
    except ConfigurationError:
        return False
    return True


def model_names(task: str, settings: Settings) -> Mapping[str, str]:
    """Provider -> what it calls the task's model, of all that are known."""
    own = model_of(task, settings).model
    said = settings.providers
    return {
        name: said[name].models.get(task, own) if name in said else own for name in names(settings)
    }


def has_key(name: str, settings: Settings) -> bool:
    return _key(name, settings) is not None


def _key(name: str, settings: Settings) -> SecretStr | None:
    said = settings.providers.get(name, ProviderSettings())
    return said.api_key or (settings.llm.api_key if name in OWN else None)


def setting(name: str, field_name: str) -> str:
    """The environment's name of a provider's setting."""
    return f"CALLYTICS_PROVIDERS__{name}__{field_name}".upper()


def _known_address(name: str, model: ModelSettings, settings: Settings) -> str | None:
    if name not in OWN:
        return HOSTED.get(name)
    if name == own_name(model.server):
        return model.server or settings.llm.base_url
    return settings.llm.base_url if name == VLLM else None


def _without_address(name: str) -> str:
    if name == EMBEDDED:
        return "embedded is the engine that `callytics up` starts for this task; none is running."
    if name == VLLM:
        return "No chat server is configured: run `callytics up`, or set CALLYTICS_LLM__BASE_URL."
    return f"{name} has no address: set {setting(name, 'base_url')}."


# --- what somebody chose -------------------------------------------------------------------------


def choose(
    session: Session, task: str, order: Sequence[str], settings: Settings, *, force: bool = False
) -> None:
    """Have `order` answer for `task` from now on.

    Raises InvalidRequestError for a name that is given twice, ConfigurationError for one that lacks a
    setting here and, unless `force`, ProviderNotReadyError for one that it lacks at every living worker.
    """
    for name, times in Counter(order).items():
        resolve(name, task, settings)
        if times > 1:
            raise InvalidRequestError(f"{name} is given twice: name each provider once.")
    if not force:
        _check_workers(session, task, order)
    ProviderChoices(session).put(task, tuple(order))


def _check_workers(session: Session, task: str, order: Sequence[str]) -> None:
    """Where no worker of the task lives, there is nobody to judge by."""
    told = [theirs for of, theirs in _details(session, "providers") if of == task]
    for name in order:
        if told and not any(name in theirs for theirs in told):
            raise ProviderNotReadyError(
                f"No running worker of {task} can ask {name}: set {setting(name, '...')} where the "
                "workers run and start them anew (`callytics down`, then `callytics up`), or use "
                "--force, and its requests go to the next provider or fail."
            )


def unchoose(session: Session, task: str, settings: Settings) -> None:
    """Have those answer for `task` whom the settings say."""
    model_of(task, settings)
    ProviderChoices(session).drop(task)


def order_now(session: Session, task: str, settings: Settings) -> Sequence[str]:
    """Who answers for `task` at this moment."""
    return ProviderChoices(session).all().get(task) or default_order(task, settings)


Breakers: TypeAlias = Mapping[tuple[str, str], Counter[BreakerState]]
"""Task and provider -> how many workers have their breaker in each state."""


def breakers(session: Session) -> Breakers:
    """Those of the workers that live, as their heartbeats tell."""
    found: defaultdict[tuple[str, str], Counter[BreakerState]] = defaultdict(Counter)
    for task, states in _details(session, "breakers"):
        for provider, state in states.items():
            found[task, provider][BreakerState(state)] += 1
    return found


def _details(session: Session, name: str) -> Iterator[tuple[str, Any]]:
    """The task of each model that a living worker has, and what it tells of it under `name`."""
    for worker in Heartbeats(session).fresh():
        for model, said in worker.models.items():
            details = said.get("details") or {}
            if name in details:
                yield task_of(model), details[name]


class ProviderRows:
    """The ProviderBook in the database."""

    def __init__(self, sessions: sessionmaker[Session], *, heeds_choice: bool = True) -> None:
        """`heeds_choice`: else requests are counted, and the settings say who answers."""
        self._sessions = sessions
        self._heeds_choice = heeds_choice
        self._lock = Lock()
        self._look_at = 0.0
        self._chosen: Mapping[str, Sequence[str]] = {}

    def chosen(self, task: str) -> Sequence[str] | None:
        """As it stood a second ago at most; while the database is away, as it was last known."""
        if not self._heeds_choice:
            return None
        with self._lock:
            if monotonic() >= self._look_at:
                self._look()
                self._look_at = monotonic() + LOOK_EVERY_S
            return self._chosen.get(task)

    def _look(self) -> None:
        try:
            with statement_by_statement(self._sessions) as session:
                self._chosen = ProviderChoices(session).all()
        except SQLAlchemyError as error:
            log.warning("provider_choices_not_read", error=type(error).__name__)

    def note(self, use: Use) -> None:
        try:
            with statement_by_statement(self._sessions) as session:
                ProviderUsages(session).add(use)
        except SQLAlchemyError as error:
            log.warning("provider_use_not_counted", error=type(error).__name__, task=use.task)
