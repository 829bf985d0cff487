import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain import bound_key

NOW_S = 1_790_000_000.4
names = st.from_regex(bound_key.CLIENT_NAME, fullmatch=True)
texts = st.text(min_size=1, max_size=40)


def is_good(text: str, secrets: list[str], *, now_s: float = NOW_S) -> bool:
    key = bound_key.parse(text)
    return key is not None and bound_key.check(key, secrets, now_s=now_s, tolerance_s=300)


def test_the_key_is_what_the_customer_documented() -> None:
    signature = hmac.new(b"s3cret", b"centerlink:1790000000", hashlib.sha256).hexdigest()
    assert bound_key.make("centerlink", "s3cret", now_s=NOW_S) == (
        f"centerlink:1790000000:{signature}"
    )


@given(name=names, secret=texts)
def test_a_fresh_key_is_good(name: str, secret: str) -> None:
    assert is_good(bound_key.make(name, secret, now_s=NOW_S), [secret])


@given(secret=texts, others=st.lists(texts, max_size=3))
def test_only_a_live_secret_makes_a_key_good(secret: str, others: list[str]) -> None:
    text = bound_key.make("centerlink", secret, now_s=NOW_S)
    assert is_good(text, [*others, secret])
    assert is_good(text, others) is (secret in others)


@given(age_s=st.integers(-1000, 1000))
def test_a_key_is_good_for_the_tolerance_and_no_longer(age_s: int) -> None:
    text = bound_key.make("centerlink", "s3cret", now_s=NOW_S)
    assert is_good(text, ["s3cret"], now_s=int(NOW_S) + age_s) is (abs(age_s) <= 300)


@given(position=st.integers(0, 200), character=st.characters())
def test_no_changed_character_goes_through(position: int, character: str) -> None:
    text = bound_key.make("centerlink", "s3cret", now_s=NOW_S)
    position %= len(text)
    changed = text[:position] + character + text[position + 1 :]
    assert is_good(changed, ["s3cret"]) is (changed == text)


@given(st.text())
def test_any_text_at_all_is_parsed_without_an_error(text: str) -> None:
    assert bound_key.parse(text) is None or ":" in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "centerlink",
        "centerlink:1790000000",
        "centerlink:1790000000:",
        f"centerlink:soon:{'0' * 64}",
        f"centerlink:-1:{'0' * 64}",
        f"center link:1790000000:{'0' * 64}",
        f":1790000000:{'0' * 64}",
        f"centerlink:1790000000:{'0' * 63}",
        f"centerlink:1790000000:{'A' * 64}",
        f"centerlink:1790000000:{'0' * 64}\n",
        f"centerlink:١٧٩٠٠٠٠٠٠٠:{'0' * 64}",
    ],
)
def test_what_has_not_the_form_of_a_key_is_none(text: str) -> None:
    assert bound_key.parse(text) is None
