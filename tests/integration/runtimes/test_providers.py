"""Chains of providers against real HTTP servers that fail in every way they can."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from callytics.db.engine import unit_of_work
from callytics.db.providers import ProviderUsages
from callytics.domain.providers import Outcome, Use
from callytics.domain.routes import Lane
from callytics.domain.stages import Queue
from callytics.embedded.process import free_port
from callytics.errors import AnswerUnusableError, ConfigurationError, ModelUnavailableError
from callytics.logs import configure
from callytics.ports import ChatAnswer
from callytics.services import providers
from callytics.services.providers import ProviderRows
from callytics.settings import Settings, get_settings
from tests.support.chat_server import ChatServer, chat_server
from tests.support.waiting import wait_until
from workers.runtimes.providers import ProviderChain
from workers.works import Works

SAID = "안녕하세요, 박준호입니다."
HELLO = [{"role": "user", "content": SAID}]
KEYS = {"alpha": "key-of-alpha", "beta": "key-of-beta"}
SCHEMA = {"type": "object", "properties": {}}


class Book:
    """A ProviderBook in memory."""

    def __init__(self) -> None:
        self.order: list[str] | None = None
        self.uses: list[Use] = []

    def chosen(self, task: str) -> list[str] | None:
        return self.order

    def note(self, use: Use) -> None:
        self.uses.append(use)

    @property
    def outcomes(self) -> list[tuple[str, Outcome]]:
        return [(use.provider, use.outcome) for use in self.uses]


Connect = Callable[..., ProviderChain]


@pytest.fixture
def servers() -> Iterator[Mapping[str, ChatServer]]:
    """Two providers that are well."""
    with chat_server() as alpha, chat_server() as beta:
        alpha.says("A")
        beta.says("B")
        yield {"alpha": alpha, "beta": beta}


@pytest.fixture
def alpha(servers: Mapping[str, ChatServer]) -> ChatServer:
    return servers["alpha"]


@pytest.fixture
def beta(servers: Mapping[str, ChatServer]) -> ChatServer:
    return servers["beta"]


@pytest.fixture
def book() -> Book:
    return Book()


def settings_for(
    urls: Mapping[str, str],
    order: tuple[str, ...] = ("alpha", "beta"),
    *,
    model: Mapping[str, Any] | None = None,
    **provider: Any,
) -> Settings:
    blocks = {
        name: {"base_url": url, "api_key": KEYS.get(name), **provider} for name, url in urls.items()
    }
    said = {"runtime": "openai", "model": "our-name", "providers": order, "retry_base_s": 0.01}
    return Settings(providers=blocks, models={"analyse": {**said, **(model or {})}})


@pytest.fixture
def connect(servers: Mapping[str, ChatServer], book: Book) -> Iterator[Connect]:
    """Loads chains over the two servers and closes them."""
    urls = {name: server.base_url for name, server in servers.items()}
    with ExitStack() as stack:

        def load(
            *order: str, model: Mapping[str, Any] | None = None, **given: Any
        ) -> ProviderChain:
            settings = settings_for(
                {**urls, **given.pop("urls", {})}, order or ("alpha", "beta"), model=model, **given
            )
            return stack.enter_context(closing(ProviderChain.load("mlm", settings, book)))

        yield load


def complete(chain: ProviderChain, timeout_s: float = 10, **more: Any) -> ChatAnswer:
    return chain.complete(HELLO, max_tokens=5, temperature=0.1, timeout_s=timeout_s, **more)


def wants_b(answer: ChatAnswer) -> None:
    if answer.text != "B":
        raise AnswerUnusableError("It is no B.")


def test_the_first_provider_answers_and_the_answer_says_so(
    connect: Connect, alpha: ChatServer, beta: ChatServer, book: Book
) -> None:
    answer = complete(connect())
    assert (answer.text, answer.provider, answer.model, answer.revision) == (
        "A",
        "alpha",
        "our-name",
        "m",
    )
    assert alpha.keys == ["Bearer key-of-alpha"]
    assert beta.asked == []
    [use] = book.uses
    assert (use.task, use.provider, use.model, use.outcome) == ("mlm", "alpha", "our-name", "ok")
    assert (use.prompt_tokens, use.output_tokens) == (7, 3)


def test_each_provider_is_asked_by_its_own_name_for_the_model(
    connect: Connect, alpha: ChatServer
) -> None:
    answer = complete(connect("alpha", models={"mlm": "their-name"}))
    assert answer.model == "their-name"
    assert [request["model"] for request in alpha.asked] == ["their-name"]


LIMIT, TEMPERATURE = {"max_tokens": 5}, {"temperature": 0.1}
NEW_LIMIT = {"max_completion_tokens": 5}


@pytest.mark.parametrize(
    ("name", "said", "sent"),
    [
        ("alpha", {}, LIMIT | TEMPERATURE),
        ("openai", {"api_key": "k"}, NEW_LIMIT | TEMPERATURE),
        ("openai", {"api_key": "k", "max_tokens_field": "max_tokens"}, LIMIT | TEMPERATURE),
        ("alpha", {"max_tokens_field": "max_completion_tokens"}, NEW_LIMIT | TEMPERATURE),
        ("alpha", {"temperature": "null"}, LIMIT),
        ("openai", {"api_key": "k", "temperature": "null"}, NEW_LIMIT),
        ("alpha", {"extra_body": {"max_tokens": 9}}, TEMPERATURE | {"max_tokens": 9}),
    ],
)
def test_a_request_has_the_fields_that_its_provider_takes(
    alpha: ChatServer, name: str, said: Mapping[str, Any], sent: Mapping[str, Any]
) -> None:
    settings = Settings(
        providers={name: {"base_url": alpha.base_url, **said}},
        models={"analyse": {"runtime": "openai", "model": "m", "providers": [name]}},
    )
    with closing(ProviderChain.load("mlm", settings)) as chain:
        assert complete(chain).text == "A"
    assert alpha.asked == [{"model": "m", "messages": HELLO, **sent}]


@pytest.mark.parametrize(
    ("status", "outcome", "requests"),
    [
        (400, Outcome.REJECTED, 1),
        (401, Outcome.UNAUTHORIZED, 1),
        (403, Outcome.UNAUTHORIZED, 1),
        (404, Outcome.NOT_FOUND, 1),
        (307, Outcome.REJECTED, 1),
        (429, Outcome.RATE_LIMITED, 2),
        (500, Outcome.SERVER_ERROR, 2),
        (503, Outcome.SERVER_ERROR, 2),
    ],
)
def test_a_provider_that_says_no_is_followed_by_the_next(
    connect: Connect, alpha: ChatServer, book: Book, status: int, outcome: Outcome, requests: int
) -> None:
    alpha.fails(status)
    assert complete(connect()).provider == "beta"
    assert book.outcomes == [("alpha", outcome)] * requests + [("beta", Outcome.OK)]


def test_a_provider_that_is_down_is_followed_by_the_next(connect: Connect, book: Book) -> None:
    chain = connect(urls={"alpha": f"http://127.0.0.1:{free_port()}/v1"})
    assert complete(chain).provider == "beta"
    assert book.outcomes == [("alpha", Outcome.UNREACHABLE)] * 2 + [("beta", Outcome.OK)]


@pytest.mark.parametrize("how", ["silent", "drips"])
def test_a_slow_provider_leaves_the_next_one_its_share_of_the_time(
    connect: Connect, alpha: ChatServer, book: Book, how: str
) -> None:
    setattr(alpha, how, True)
    answer = complete(connect(), timeout_s=1.0)
    assert answer.provider == "beta"
    assert book.outcomes == [("alpha", Outcome.TIMEOUT), ("beta", Outcome.OK)]
    assert 0.4 < book.uses[0].seconds < 0.8


def test_of_an_error_nothing_is_read_but_its_head(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    alpha.drips = True
    alpha.raw = b"x" * 1000  # which takes 50 s
    alpha.fails(500)
    assert complete(connect(model={"retries": 0})).provider == "beta"
    assert book.outcomes[0] == ("alpha", Outcome.SERVER_ERROR)
    assert book.uses[0].seconds < 5


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_an_error_whose_body_is_packed_is_one_like_others(
    connect: Connect, alpha: ChatServer, book: Book, coding: str
) -> None:
    alpha.fails(500, Content_Encoding=coding)
    assert complete(connect(model={"retries": 0})).provider == "beta"
    assert book.outcomes[0] == ("alpha", Outcome.SERVER_ERROR)


def test_all_providers_together_take_no_longer_than_they_may(
    connect: Connect, alpha: ChatServer, beta: ChatServer, book: Book
) -> None:
    alpha.silent = beta.silent = True
    with pytest.raises(ModelUnavailableError, match=r"alpha: .* within 0\.3 s.* beta: .*within"):
        complete(connect(), timeout_s=0.6)
    assert sum(use.seconds for use in book.uses) < 1.0


def test_a_fall_back_without_time_is_not_begun(
    connect: Connect, alpha: ChatServer, beta: ChatServer
) -> None:
    alpha.silent = True
    with pytest.raises(ModelUnavailableError, match=r"beta: No time was left"):
        complete(connect(timeout_s=0.3), timeout_s=0.3)
    assert beta.asked == []


def test_a_provider_gets_as_long_as_its_settings_say(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    alpha.silent = True
    complete(connect(timeout_s=0.2, model={"retries": 0}), timeout_s=5)
    assert book.uses[0].seconds < 1


def test_what_fails_in_passing_is_asked_again(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    alpha.fails(500, times=2)
    assert complete(connect(model={"retries": 2})).provider == "alpha"
    assert [outcome for _, outcome in book.outcomes] == ["server_error", "server_error", "ok"]


def test_who_is_alone_is_asked_again_after_the_time_that_it_names(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    alpha.fails(429, times=1, Retry_After="1")
    assert complete(connect("alpha")).provider == "alpha"
    assert book.outcomes == [("alpha", Outcome.RATE_LIMITED), ("alpha", Outcome.OK)]


def test_a_time_is_waited_for_where_all_others_are_left_alone(
    connect: Connect, alpha: ChatServer, beta: ChatServer, book: Book
) -> None:
    book.order = ["beta", "alpha"]
    beta.fails(401)
    chain = connect(rest_after=2, rest_s=60)
    for _ in range(2):
        complete(chain)
    book.order, book.uses = ["alpha", "beta"], []
    alpha.fails(429, times=1, Retry_After="1")
    assert complete(chain).provider == "alpha"
    assert book.outcomes == [("alpha", Outcome.RATE_LIMITED), ("alpha", Outcome.OK)]


def test_a_time_is_not_waited_for_where_another_can_be_asked(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    alpha.fails(429, times=1, Retry_After="1")
    assert complete(connect()).provider == "beta"
    assert book.outcomes == [("alpha", Outcome.RATE_LIMITED), ("beta", Outcome.OK)]


def test_a_time_that_is_too_late_is_not_waited_for(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    alpha.fails(429, Retry_After="30")
    with pytest.raises(ModelUnavailableError, match="HTTP 429"):
        complete(connect("alpha"), timeout_s=10)
    assert book.outcomes == [("alpha", Outcome.RATE_LIMITED)]


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>busy</html>", b"[]", b'{"choices": []}', b'{"cho', b" " * (9 * 2**20) + b"{}"],
    ids=["empty", "html", "list", "no choice", "cut", "endless"],
)
def test_a_body_that_is_no_completion_is_followed_by_the_next(
    connect: Connect, alpha: ChatServer, book: Book, raw: bytes
) -> None:
    alpha.raw = raw
    assert complete(connect()).provider == "beta"
    assert book.outcomes[0] == ("alpha", Outcome.MALFORMED)


def test_a_body_that_does_not_decode_is_followed_by_the_next(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    alpha.raw, alpha.headers = b"junk", {"Content-Encoding": "gzip"}
    assert complete(connect()).provider == "beta"
    assert book.outcomes[0] == ("alpha", Outcome.MALFORMED)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"text": None, "refusal": "I cannot."}, Outcome.REFUSED),
        ({"text": "", "finish_reason": "content_filter"}, Outcome.REFUSED),
        ({"text": '{"summary": ', "finish_reason": "length"}, Outcome.TRUNCATED),
        ({"text": "no JSON at all"}, Outcome.UNUSABLE),
    ],
)
def test_an_answer_that_cannot_be_worked_with_is_followed_by_the_next(
    connect: Connect, alpha: ChatServer, book: Book, said: dict[str, Any], outcome: Outcome
) -> None:
    alpha.says(**said)
    answer = complete(connect(), schema=SCHEMA, accept=wants_b)
    assert answer.provider == "beta"
    assert book.outcomes == [("alpha", outcome), ("beta", Outcome.OK)]
    assert book.uses[0].output_tokens == 3


def test_where_nobody_has_a_usable_answer_the_error_says_so(
    connect: Connect, beta: ChatServer
) -> None:
    beta.says(None, refusal="I cannot.")
    with pytest.raises(AnswerUnusableError, match=r"alpha: It is no B\. beta: .*refuses"):
        complete(connect(), accept=wants_b)


def test_one_that_is_down_among_them_makes_it_worth_another_try(
    connect: Connect, beta: ChatServer
) -> None:
    beta.fails(500)
    with pytest.raises(ModelUnavailableError) as caught:
        complete(connect(), accept=wants_b)
    assert not isinstance(caught.value, AnswerUnusableError)


def test_a_provider_that_keeps_failing_is_left_alone_and_then_probed(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    alpha.fails(500)
    chain = connect(rest_after=2, rest_s=0.3, model={"retries": 0})
    for _ in range(4):
        assert complete(chain).provider == "beta"
    assert len(alpha.asked) == 2
    alpha.status = 200
    wait_until(lambda: complete(chain).provider == "alpha", 10)
    assert len(alpha.asked) == 3
    assert complete(chain).provider == "alpha"


def test_the_chain_tells_of_the_breakers_of_those_who_are_to_answer(
    connect: Connect, alpha: ChatServer, book: Book
) -> None:
    chain = connect(rest_after=2, rest_s=0.1, model={"retries": 0})
    assert chain.info.details["breakers"] == {"alpha": "closed", "beta": "closed"}
    alpha.fails(500)
    complete(chain)
    assert chain.info.details["breakers"]["alpha"] == "closed"
    complete(chain)
    assert chain.info.details["breakers"] == {"alpha": "open", "beta": "closed"}
    alpha.status = 200
    wait_until(lambda: complete(chain).provider == "alpha", 10)
    assert chain.info.details["breakers"]["alpha"] == "closed"
    book.order = ["beta"]
    complete(chain)
    assert chain.info.details["breakers"] == {"beta": "closed"}


def test_the_chain_tells_who_could_be_chosen(connect: Connect) -> None:
    chain = connect("alpha", urls={"gpu2": "http://gpu2:8000/v1"})
    assert chain.info.details["providers"] == ["alpha", "beta", "gpu2"]


def test_the_error_names_those_who_are_left_alone(
    connect: Connect, alpha: ChatServer, beta: ChatServer
) -> None:
    alpha.fails(500)
    chain = connect(rest_after=1, rest_s=60, model={"retries": 0})
    complete(chain)
    beta.fails(400)
    with pytest.raises(ModelUnavailableError, match=r"alpha: .* left alone .* beta: .* HTTP 400"):
        complete(chain)


def test_where_all_are_left_alone_they_are_asked_all_the_same(
    connect: Connect, alpha: ChatServer, beta: ChatServer
) -> None:
    alpha.fails(500)
    beta.fails(500)
    chain = connect(rest_after=1, rest_s=60, model={"retries": 0})
    with pytest.raises(ModelUnavailableError):
        complete(chain)
    alpha.status = 200
    assert complete(chain).provider == "alpha"


def test_a_request_that_is_refused_says_nothing_against_the_provider(
    connect: Connect, alpha: ChatServer
) -> None:
    alpha.fails(400)
    chain = connect(rest_after=1, rest_s=60)
    for _ in range(3):
        complete(chain)
    assert len(alpha.asked) == 3


def test_the_order_is_what_is_chosen_at_the_moment(connect: Connect, book: Book) -> None:
    chain = connect()
    book.order = ["beta", "alpha"]
    assert complete(chain).provider == "beta"
    book.order = None
    assert complete(chain).provider == "alpha"


def test_a_provider_that_lacks_a_setting_is_passed_over_and_named(
    connect: Connect, alpha: ChatServer
) -> None:
    chain = connect("openai", "alpha")
    assert complete(chain).provider == "alpha"
    alpha.fails(500)
    with pytest.raises(ModelUnavailableError, match="CALLYTICS_PROVIDERS__OPENAI__API_KEY"):
        complete(chain)


def test_a_choice_that_this_process_cannot_use_is_logged_once(connect: Connect, book: Book) -> None:
    with capture_logs() as logged:
        chain = connect("alpha")
        book.order = ["openai", "gpu2", "alpha"]
        for _ in range(3):
            complete(chain)
        first = {entry["provider"]: entry for entry in logged}
        assert len(logged) == 2
        assert first["openai"]["problem"].endswith("CALLYTICS_PROVIDERS__OPENAI__API_KEY.")
        assert "no provider `gpu2`" in first["gpu2"]["problem"]
        assert {(entry["event"], entry["task"]) for entry in logged} == {
            ("provider_not_usable", "mlm")
        }
        book.order = None
        complete(chain)
        book.order = ["gpu2", "alpha"]
        complete(chain)
        assert [entry["provider"] for entry in logged[2:]] == ["gpu2"]


def test_a_chain_of_which_no_provider_can_be_asked_is_a_matter_of_settings() -> None:
    settings = settings_for({}, ("openai", "runpod", "nobody"))
    with pytest.raises(ConfigurationError) as caught:
        ProviderChain.load("mlm", settings)
    for told in ("OPENAI__API_KEY", "RUNPOD__BASE_URL", "no provider `nobody`"):
        assert told in caught.value.detail


def test_warming_up_asks_an_engine_of_our_own_and_nobody_who_is_paid(
    servers: Mapping[str, ChatServer],
) -> None:
    alpha, beta = servers["alpha"], servers["beta"]
    hosted = settings_for(
        {"beta": beta.base_url}, ("beta", "embedded"), model={"server": alpha.base_url}
    )
    with closing(ProviderChain.load("mlm", hosted)) as chain:
        chain.warm_up()
        assert alpha.asked == beta.asked == []
        assert chain.info.name == "our-name"
    own = settings_for({}, ("embedded", "beta"), model={"server": alpha.base_url})
    with closing(ProviderChain.load("mlm", own)) as chain:
        alpha.fails(503)
        with pytest.raises(ModelUnavailableError):
            chain.warm_up()


def test_an_engine_that_is_down_keeps_nobody_waiting_where_another_can_be_asked(
    alpha: ChatServer, beta: ChatServer
) -> None:
    settings = settings_for(
        {"beta": beta.base_url}, ("embedded", "beta"), model={"server": alpha.base_url}
    )
    with closing(ProviderChain.load("mlm", settings)) as chain, capture_logs() as logged:
        alpha.fails(503)
        chain.warm_up()
        assert beta.asked == []
        assert [entry["event"] for entry in logged] == ["engine_not_warm"]
        assert complete(chain).provider == "beta"


def test_another_model_is_asked_of_those_who_serve_it(
    connect: Connect, alpha: ChatServer, beta: ChatServer
) -> None:
    chain = connect()
    alpha.serves, beta.serves = ["our-name"], ["our-name", "better"]
    answer = complete(chain.named("better"))
    assert (answer.provider, answer.model) == ("beta", "better")
    assert alpha.asked == []
    assert chain.named("our-name") is chain
    with pytest.raises(ModelUnavailableError, match=r"alpha: .* does not serve this model"):
        chain.named("nowhere")


def test_what_it_cost_is_counted_by_the_price(connect: Connect, book: Book) -> None:
    complete(connect("alpha", usd_per_million_input=2.0, usd_per_million_output=10.0))
    assert book.uses[0].cost_usd == pytest.approx((7 * 2 + 3 * 10) / 1e6)


def test_neither_key_nor_prompt_gets_into_logs_or_errors(
    servers: Mapping[str, ChatServer],
    sessions: sessionmaker[Session],
    capfd: pytest.CaptureFixture[str],
) -> None:
    for server in servers.values():
        server.fails(401)
        server.body = {"error": {"message": f"bad key key-of-alpha for {SAID}"}}
    urls = {
        name: server.base_url.replace("//", "//user:hunter2@") for name, server in servers.items()
    }
    settings = settings_for(urls, model={"retries": 0}, rest_after=1)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure(settings.model_copy(update={"log_level": "debug"}))
    try:
        with (
            closing(ProviderChain.load("mlm", settings, ProviderRows(sessions))) as chain,
            pytest.raises(ModelUnavailableError) as caught,
        ):
            complete(chain)
    finally:
        root.handlers[:], level = before
        root.setLevel(level)
    logged = capfd.readouterr().err
    assert "provider_rests" in logged
    with unit_of_work(sessions) as session:
        rows = repr(ProviderUsages(session).sums())
    assert "unauthorized" in rows
    for told in (logged, rows, repr(caught.value), str(caught.value.as_problem())):
        assert "key-of" not in told
        assert "hunter2" not in told
        assert "박준호" not in told
    assert caught.value.__cause__ is None


def test_counts_of_eight_threads_add_up(
    servers: Mapping[str, ChatServer], sessions: sessionmaker[Session]
) -> None:
    servers["alpha"].fails(500, times=40)
    urls = {name: server.base_url for name, server in servers.items()}
    settings = settings_for(
        urls, model={"retries": 0}, rest_after=1000, usd_per_million_input=1_000_000
    )
    with (
        closing(ProviderChain.load("mlm", settings, ProviderRows(sessions))) as chain,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda _: complete(chain), range(80)))
    assert {answer.provider for answer in answers} == {"alpha", "beta"}
    with unit_of_work(sessions) as session:
        sums = ProviderUsages(session).sums(timedelta(hours=1))
    found = {(one.provider, one.outcome.value): one for one in sums}
    assert {key: one.requests for key, one in found.items()} == {
        ("alpha", "server_error"): 40,
        ("alpha", "ok"): 40,
        ("beta", "ok"): 40,
    }
    assert found["beta", "ok"].prompt_tokens == 40 * 7
    assert found["beta", "ok"].cost_usd == pytest.approx(40 * 7)
    assert found["alpha", "server_error"].prompt_tokens == 0


def test_a_database_that_is_away_holds_no_answer_up(connect: Connect, alpha: ChatServer) -> None:
    engine = create_engine(f"postgresql+psycopg://u:p@127.0.0.1:{free_port()}/none")
    rows = ProviderRows(sessionmaker(engine))
    settings = settings_for({"alpha": alpha.base_url}, ("alpha",))
    with closing(ProviderChain.load("mlm", settings, rows)) as chain:
        assert complete(chain).provider == "alpha"
    engine.dispose()


def test_a_choice_is_kept_and_dropped_again(
    sessions: sessionmaker[Session], alpha: ChatServer
) -> None:
    settings = settings_for({"alpha": alpha.base_url, "beta": alpha.base_url})
    with unit_of_work(sessions) as session:
        providers.choose(session, "mlm", ["beta", "alpha"], settings)
    assert ProviderRows(sessions).chosen("mlm") == ("beta", "alpha")
    assert ProviderRows(sessions).chosen("slm") is None
    with unit_of_work(sessions) as session:
        providers.unchoose(session, "mlm", settings)
    assert ProviderRows(sessions).chosen("mlm") is None


@pytest.mark.parametrize(
    ("variant", "provider"), [("v1", "beta"), ("v2", "embedded"), ("v3", "alpha"), ("v4", "beta")]
)
def test_what_is_chosen_is_not_for_a_variant_with_a_server_or_an_order_of_its_own(
    sessions: sessionmaker[Session],
    servers: Mapping[str, ChatServer],
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    provider: str,
) -> None:
    for name, server in servers.items():
        monkeypatch.setenv(f"CALLYTICS_PROVIDERS__{name.upper()}__BASE_URL", server.base_url)
    variants = {
        "v2": {"server": servers["alpha"].base_url},
        "v3": {"providers": ["alpha"]},
        "v4": {"retries": 0},
    }
    monkeypatch.setenv("CALLYTICS_MODELS__ANALYSE__VARIANTS", json.dumps(variants))
    get_settings.cache_clear()
    settings = get_settings()
    with unit_of_work(sessions) as session:
        providers.choose(session, "mlm", ["beta"], settings)
    works = Works(settings.serving([Lane(Queue.MLM, variant)]))
    with closing(cast("ProviderChain", works.load("analyse", sessions))) as chain:
        assert complete(chain).provider == provider


@pytest.mark.parametrize("name", ["openai", "runpod", "embedded", "nobody"])
def test_who_could_not_answer_is_not_chosen(sessions: sessionmaker[Session], name: str) -> None:
    settings = settings_for({})
    with pytest.raises(ConfigurationError), unit_of_work(sessions) as session:
        providers.choose(session, "mlm", [name], settings)
    assert ProviderRows(sessions).chosen("mlm") is None
