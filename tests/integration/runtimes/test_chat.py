"""The OpenAI protocol: against a scripted server, and against the real engine with real models."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from callytics.domain import summary
from callytics.domain.excerpt import Line
from callytics.domain.transcript import Role
from callytics.embedded.parts import llm_engine
from callytics.embedded.process import Process, free_port, running
from callytics.errors import ConfigurationError, ModelUnavailableError, RetryableStageError
from callytics.model_files import resolve
from callytics.services.summary import Source, SummaryOptions, read_ahead, summarise
from callytics.settings import LlmSettings, Settings
from tests.support.chat_server import ChatServer, chat_server, dripping_server
from tests.support.waiting import wait_until
from workers.runtimes.chat import OpenAiChat

HELLO = [{"role": "user", "content": "안녕하세요, 박준호입니다."}]
PRESET = Settings(preset="offline").models.summarize
SMALL = PRESET.model


def load_chat(base_url: str | None, model: str = "small-chat", **options: Any) -> OpenAiChat:
    settings = Settings(
        llm=LlmSettings(base_url=base_url, api_key=SecretStr("secret-key")),
        models={"summarize": {"runtime": "openai", "model": model, "options": options}},
    )
    return OpenAiChat.load(
        settings.models.summarize, where=model, device="cpu", threads=None, settings=settings
    )


Connect = Callable[..., OpenAiChat]


@pytest.fixture
def chat_at() -> Iterator[Connect]:
    """Loads chats and closes them."""
    with ExitStack() as stack:

        def connect(base_url: str | None, **options: Any) -> OpenAiChat:
            return stack.enter_context(closing(load_chat(base_url, **options)))

        yield connect


def complete(chat: OpenAiChat, timeout_s: float = 10) -> Any:
    return chat.complete(HELLO, max_tokens=5, temperature=0.2, timeout_s=timeout_s)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as script:
        script.says("네.")
        yield script


def test_asks_and_answers_as_the_protocol_says(server: ChatServer, chat_at: Connect) -> None:
    answer = complete(chat_at(server.base_url))
    assert (answer.text, answer.finish_reason) == ("네.", "stop")
    assert (answer.prompt_tokens, answer.output_tokens) == (7, 3)
    [request] = server.asked
    assert request == {
        "model": "small-chat",
        "messages": HELLO,
        "max_tokens": 5,
        "temperature": 0.2,
    }
    assert server.keys == ["Bearer secret-key"]


def test_tells_what_the_server_had_read_before_where_it_says_so(
    server: ChatServer, chat_at: Connect
) -> None:
    chat = chat_at(server.base_url)
    assert complete(chat).cached_tokens == 0
    server.body["usage"]["prompt_tokens_details"] = {"cached_tokens": 5}
    answer = complete(chat)
    assert answer.cached_tokens == 5
    assert answer.seconds > 0


@pytest.mark.parametrize(
    ("said", "counted"), [(None, 0), (-1, 0), (10**12, 10**8), (10**30, 10**8)]
)
def test_counts_that_cannot_be_do_no_harm_to_the_answer(
    server: ChatServer, chat_at: Connect, said: int | None, counted: int
) -> None:
    server.body["usage"] = {
        "prompt_tokens": said,
        "completion_tokens": said,
        "prompt_tokens_details": {"cached_tokens": said},
    }
    answer = complete(chat_at(server.base_url))
    assert answer.text
    assert (answer.prompt_tokens, answer.output_tokens, answer.cached_tokens) == (counted,) * 3


def test_warming_up_reads_what_all_prompts_of_a_language_begin_with(
    server: ChatServer, chat_at: Connect
) -> None:
    chat_at(server.base_url).warm_up()
    lines = [Line(role=Role.CUSTOMER, text="환불해 주세요.")]
    begins = [summary.prompt(lines, language, 100)[:-1] for language in ("en", "ko")]
    assert [request["messages"][:-1] for request in server.asked] == begins


def test_sends_what_the_server_wants_beside_the_protocol(
    server: ChatServer, chat_at: Connect
) -> None:
    chat = chat_at(server.base_url, extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    complete(chat)
    assert server.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_thoughts_are_no_part_of_the_answer(server: ChatServer, chat_at: Connect) -> None:
    server.says("<think>\n고객이 인사했다.\n</think>\n\n네.")
    assert complete(chat_at(server.base_url)).text == "네."


def test_no_configured_server_is_a_matter_of_settings(chat_at: Connect) -> None:
    with pytest.raises(ConfigurationError, match="callytics up"):
        chat_at(None)


def test_a_server_that_is_not_there_is_worth_another_try(chat_at: Connect) -> None:
    with pytest.raises(RetryableStageError, match=r"127\.0\.0\.1:\d+ cannot be reached") as caught:
        complete(chat_at(f"http://127.0.0.1:{free_port()}/v1"))
    assert caught.value.code == "model_unavailable"


def test_a_server_that_hangs_is_given_up_in_time(server: ChatServer, chat_at: Connect) -> None:
    server.silent = True
    with pytest.raises(ModelUnavailableError, match=r"within 0\.2 s"):
        complete(chat_at(server.base_url), timeout_s=0.2)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("scheme", "begins"),
    [
        ("http", b"HTTP/1.1 200 OK\r\nX-Padding: "),
        ("https", b"\x16\x03\x03\x40\x00"),  # of a TLS record with 16 kB
    ],
)
def test_a_server_that_drips_its_head_or_its_handshake_is_given_up_in_time(
    chat_at: Connect, scheme: str, begins: bytes
) -> None:
    with dripping_server(begins) as dripping:
        chat = chat_at(f"{scheme}://127.0.0.1:{dripping.port}/v1")
        asked_at = monotonic()
        with pytest.raises(ModelUnavailableError, match=r"within 0\.3 s"):
            complete(chat, timeout_s=0.3)
        assert monotonic() - asked_at < 1.5
        assert dripping.left.wait(2), "the connection stays open"


HEAD = b"HTTP/1.1 200 OK\r\nX-Padding: "


def test_a_request_that_a_time_limit_interrupts_is_called_off(chat_at: Connect) -> None:
    def interrupt(_signal: int, _frame: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with dripping_server(HEAD) as dripping:
            chat = chat_at(f"http://127.0.0.1:{dripping.port}/v1")
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(InterruptedError):
                complete(chat)
            assert dripping.left.wait(2), "the request goes on"
    finally:
        signal.signal(signal.SIGALRM, before)


def test_who_asks_while_the_client_is_closed_or_later_finds_the_server_unreachable() -> None:
    with dripping_server(HEAD) as dripping, ThreadPoolExecutor(1) as pool:
        chat = load_chat(f"http://127.0.0.1:{dripping.port}/v1")
        asking = pool.submit(complete, chat)
        assert dripping.met.wait(2)
        chat.close()
        with pytest.raises(ModelUnavailableError, match="cannot be reached"):
            asking.result(5)
        with pytest.raises(ModelUnavailableError, match="cannot be reached"):
            complete(chat)


def test_a_name_that_is_looked_up_for_ever_is_given_up_in_time(
    server: ChatServer, chat_at: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, look_up = Event(), socket.getaddrinfo

    def slow(*arguments: Any, **more: Any) -> Any:
        over.wait(10)
        return look_up(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    chat = chat_at(f"http://localhost:{server.port}/v1")
    asked_at = monotonic()
    try:
        with pytest.raises(ModelUnavailableError, match=r"within 0\.3 s"):
            complete(chat, timeout_s=0.3)
        assert monotonic() - asked_at < 1.5
    finally:
        over.set()
    assert complete(chat).text == "네."


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "longer than its context"),
        (401, "CALLYTICS_LLM__API_KEY"),
        (404, "CALLYTICS_MODELS__SUMMARIZE__MODEL"),
        (429, "busy"),
        (500, "HTTP 500"),
        (503, "loading"),
    ],
)
def test_a_refusal_says_what_to_do_and_quotes_nothing(
    server: ChatServer, chat_at: Connect, status: int, hint: str
) -> None:
    server.status = status
    server.body = {"error": {"message": "bad prompt: 안녕하세요, 박준호입니다. secret-key"}}
    with pytest.raises(ModelUnavailableError, match=hint) as caught:
        complete(chat_at(server.base_url))
    told = repr(caught.value) + str(caught.value.as_problem())
    assert "박준호" not in told
    assert "secret-key" not in told
    assert caught.value.__cause__ is None
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [{"choices": []}, {"choices": None}, {}])
def test_an_answer_without_a_choice_is_none(
    server: ChatServer, chat_at: Connect, body: Any
) -> None:
    server.body = body
    with pytest.raises(ModelUnavailableError):
        complete(chat_at(server.base_url))


def engine(port: int) -> Process:
    """Serves the offline preset's chat model."""
    [gguf] = Path(resolve(SMALL, Settings())).glob("*.gguf")
    return llm_engine(gguf, alias=SMALL, port=port)


def healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def gone(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        pass
    return False


@pytest.mark.models
def test_the_engine_dies_with_its_parent() -> None:
    port = free_port()
    # A parent in between, which is killed as hard as a parent can be.
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()",
            *engine(port).command,
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: healthy(port), 60)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    wait_until(lambda: gone(port), 20)


@pytest.mark.models
def test_the_engine_ends_when_it_is_told_to() -> None:
    port = free_port()
    with subprocess.Popen(engine(port).command, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: healthy(port), 60)
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
    assert gone(port)


@pytest.mark.models
def test_a_file_that_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.gguf"
    rubbish.write_bytes(b"GGUF, not")
    command = llm_engine(rubbish, alias="m", port=free_port()).command
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "cannot be served" in ended.stderr


@pytest.fixture(scope="module")
def small_chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAiChat]:
    """The offline preset's own model on a real engine, warm."""
    port = free_port()
    with (
        running(engine(port), tmp_path_factory.mktemp("engine") / "log", timeout_s=120),
        closing(load_chat(f"http://127.0.0.1:{port}/v1", SMALL, **PRESET.options)) as chat,
    ):
        chat.warm_up()
        yield chat


@pytest.mark.models
def test_the_engine_answers_and_counts(small_chat: OpenAiChat) -> None:
    answer = small_chat.complete(HELLO, max_tokens=3, temperature=0.0, timeout_s=60)
    assert answer.text
    assert answer.finish_reason == "length"
    assert answer.output_tokens == 3
    assert answer.prompt_tokens > 3
    assert small_chat.info.revision != "unpinned"


@pytest.mark.models
def test_a_model_that_the_engine_does_not_have_is_refused(small_chat: OpenAiChat) -> None:
    assert small_chat.named(small_chat.info.name) is small_chat
    with pytest.raises(ModelUnavailableError, match="does not serve this model"):
        small_chat.named("nope")


@pytest.mark.models
def test_conversations_that_go_on_at_the_same_time_stay_read(small_chat: OpenAiChat) -> None:
    options = SummaryOptions(max_tokens=4, temperature=0.0)
    matters = ["도시락 주문을 취소하고 싶어서요.", "영수증을 다시 받을 수 있나요?"]
    calls = [
        [
            Line(role=Role.CUSTOMER, text=matter),
            Line(role=Role.AGENT, text="네, 바로 처리해 드렸습니다."),
        ]
        for matter in matters
    ]
    for count in (1, 2):
        for lines in calls:
            read_ahead(small_chat, lines[:count], "ko", options)
    for lines in calls:
        messages = summary.prompt(lines, "ko", options.ahead_chars, ahead=True)
        answer = small_chat.complete(messages, max_tokens=1, temperature=0.0, timeout_s=60)
        assert answer.prompt_tokens - answer.cached_tokens < 3


@pytest.mark.models
def test_a_real_model_says_what_was_asked_and_done(small_chat: OpenAiChat) -> None:
    said = [
        (Role.AGENT, "안녕하세요, 두레도시락 상담원 김아름입니다. 무엇을 도와드릴까요?"),
        (Role.CUSTOMER, "내일 점심 도시락 주문을 취소하고 싶어서요."),
        (Role.AGENT, "네, 오전이라 수수료 없이 주문 취소해 드렸습니다."),
        (Role.CUSTOMER, "네, 감사합니다."),
    ]
    lines = [Line(role=role, text=text) for role, text in said]
    found = summarise(small_chat, lines, "ko", SummaryOptions.of(PRESET.options))
    assert found.source is Source.MODEL
    assert "도시락" in found.text
    assert "취소" in found.text
    assert found.checks["passed"] is True
    assert found.seconds > 0
