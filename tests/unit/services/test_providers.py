from typing import Any

import pytest
from pydantic import ValidationError

from callytics.errors import ConfigurationError, UnknownProviderError, UnknownTaskError
from callytics.services.providers import default_order, model_names, names, resolve, usable
from callytics.settings import Settings

SERVER, VLLM = "http://127.0.0.1:18081/v1", "http://gpu:8000/v1"


def settings(
    *, llm: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **providers: Any
) -> Settings:
    return Settings(
        llm=llm or {},
        providers=providers,
        models={"analyse": {"runtime": "openai", "model": "ours", **(model or {})}},
    )


def test_a_known_provider_needs_no_address() -> None:
    found = resolve("openai", "mlm", settings(openai={"api_key": "k"}))
    assert found.base_url == "https://api.openai.com/v1"
    assert (found.own, found.retries, found.model) == (False, 1, "ours")
    assert "k" not in repr(found.api_key)


@pytest.mark.parametrize(
    ("name", "said", "lacks"),
    [
        ("openai", {}, "CALLYTICS_PROVIDERS__OPENAI__API_KEY"),
        ("runpod", {"api_key": "k"}, "CALLYTICS_PROVIDERS__RUNPOD__BASE_URL"),
        ("runpod", {"base_url": VLLM}, "CALLYTICS_PROVIDERS__RUNPOD__API_KEY"),
        ("mine", {}, "CALLYTICS_PROVIDERS__MINE__BASE_URL"),
        ("vllm", {}, "CALLYTICS_LLM__BASE_URL"),
        ("embedded", {}, "callytics up"),
    ],
)
def test_what_a_provider_lacks_is_named(name: str, said: dict[str, str], lacks: str) -> None:
    with pytest.raises(ConfigurationError, match=lacks):
        resolve(name, "mlm", settings(**{name: said}))


def test_those_are_usable_that_lack_nothing() -> None:
    said = settings(
        llm={"base_url": VLLM}, mine={"base_url": SERVER}, openai={"api_key": "k"}, runpod={}
    )
    assert usable("mlm", said) == ("vllm", "openai", "mine")


def test_an_own_provider_takes_what_the_models_options_say_and_others_do_not() -> None:
    said = settings(
        llm={"base_url": VLLM, "api_key": "k"},
        model={"options": {"extra_body": {"grammar": "g"}}},
        mine={"base_url": SERVER, "extra_body": {"x": 1}},
        vllm={"extra_body": {"y": 2}},
    )
    assert resolve("vllm", "mlm", said).extra_body == {"grammar": "g", "y": 2}
    assert resolve("mine", "mlm", said).extra_body == {"x": 1}
    assert resolve("mine", "mlm", said).api_key is None


def test_without_a_word_the_tasks_own_server_answers() -> None:
    published = settings(llm={"base_url": VLLM}, model={"server": SERVER})
    assert default_order("mlm", published) == ("embedded",)
    assert resolve("embedded", "mlm", published).base_url == SERVER
    assert resolve("vllm", "mlm", published).base_url == VLLM
    shared = settings(llm={"base_url": VLLM})
    assert default_order("mlm", shared) == ("vllm",)
    assert resolve("vllm", "mlm", shared).base_url == VLLM


def test_the_order_of_the_settings_is_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLYTICS_MODELS__ANALYSE__PROVIDERS", "runpod, openai")
    monkeypatch.setenv("CALLYTICS_PROVIDERS__OPENAI__MODELS__MLM", "gpt")
    monkeypatch.setenv("CALLYTICS_PROVIDERS__MY-OWN__BASE_URL", SERVER)
    said = Settings()
    assert default_order("mlm", said) == ("runpod", "openai")
    assert model_names("mlm", said)["openai"] == "gpt"
    assert model_names("mlm", said)["runpod"] == said.models.analyse.model
    assert "my-own" in names(said)


@pytest.mark.parametrize("name", ["", "Öpen", "a b", "x" * 65])
def test_a_name_that_no_row_could_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="providers"):
        settings(**{name: {}})


def test_who_is_not_known_is_refused_with_those_who_are() -> None:
    with pytest.raises(UnknownTaskError, match="slm, mlm"):
        resolve("openai", "nothing", settings(openai={"api_key": "k"}))
    with pytest.raises(UnknownProviderError, match="embedded, vllm, openai, runpod"):
        resolve("nobody", "mlm", settings())


@pytest.mark.parametrize(
    ("name", "said", "share_s", "left_s", "limit_s"),
    [
        ("vllm", {}, 40, 80, 40),
        ("mine", {}, 40, 80, 40),
        ("openai", {"api_key": "k"}, 40, 80, 15),
        ("openai", {"api_key": "k"}, 2, 3, 2),
        ("mine", {"timeout_s": 2.5}, 1.5, 3, 2.5),
        ("mine", {"timeout_s": 60}, 40, 50, 50),
    ],
)
def test_a_request_takes_its_share_or_what_its_provider_is_given(
    name: str, said: dict[str, Any], share_s: float, left_s: float, limit_s: float
) -> None:
    found = resolve(name, "mlm", settings(**{name: {"base_url": VLLM, **said}}))
    assert found.limit_s(share_s=share_s, left_s=left_s) == limit_s


@pytest.mark.parametrize("url", ["gpu:8000/v1", "ftp://gpu/v1", "http://u:hunter2@gpu:99999/v1"])
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(mine={"base_url": url})
    [fault] = caught.value.errors(include_input=False)
    assert fault["loc"] == ("providers", "mine", "base_url")
    assert "https://host/v1" in fault["msg"]
    assert "hunter2" not in fault["msg"]
