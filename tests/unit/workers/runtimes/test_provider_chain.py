"""A chain's order, over every mix of faults, without a socket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.providers import ANSWERED, PASSING, Outcome, Use
from callytics.errors import ModelUnavailableError
from callytics.ports import ChatAnswer, ModelInfo
from callytics.services.providers import Provider
from callytics.settings import ProviderSettings
from workers.runtimes.breaker import Breaker
from workers.runtimes.chat import Attempt, Request
from workers.runtimes.providers import Member, ProviderChain

NAMES = ("a", "b", "c", "d")
RETRIES = 1


@dataclass
class FakeServer:
    """Meets the same outcome each time."""

    name: str
    outcome: Outcome
    asked: list[str]
    provider: Provider = field(init=False)
    info: ModelInfo = field(init=False)

    def __post_init__(self) -> None:
        self.info = ModelInfo(name="m", revision="1", device="server")
        self.provider = Provider(
            name=self.name,
            task="mlm",
            model="m",
            base_url="http://nowhere/v1",
            api_key=None,
            retries=RETRIES,
            retry_base_s=0,
            settings=ProviderSettings(),
        )

    def warm_up(self) -> None:
        """Nothing to warm."""

    def named(self, model: str) -> Self:
        return self

    def close(self) -> None:
        """Nothing to close."""

    def attempt(self, request: Request, *, timeout_s: float) -> Attempt:
        self.asked.append(self.name)
        answer = ChatAnswer(
            text="",
            finish_reason="stop",
            provider=self.name,
            prompt_tokens=1,
            output_tokens=1,
        )
        return Attempt(outcome=self.outcome, answer=answer, problem=self.outcome.value)


def chain_of(
    outcomes: Mapping[str, Outcome], order: Sequence[str], resting: set[str], uses: list[Use]
) -> tuple[ProviderChain, list[str]]:
    asked: list[str] = []
    members = {}
    for name, outcome in outcomes.items():
        breaker = Breaker(after=1 if name in resting else 1000, rest_s=1000)
        if name in resting:
            breaker.failed()
        members[name] = Member(server=FakeServer(name, outcome, asked), breaker=breaker)
    chain = ProviderChain(
        "m",
        task="mlm",
        usable=NAMES,
        connect=members.__getitem__,
        order=lambda: order,
        note=uses.append,
    )
    return chain, asked


@given(
    outcomes=st.fixed_dictionaries({name: st.sampled_from(Outcome) for name in NAMES}),
    order=st.permutations(NAMES).flatmap(
        lambda names: st.integers(1, len(names)).map(lambda count: names[:count])
    ),
    resting=st.sets(st.sampled_from(NAMES)),
)
def test_the_order_is_always_obeyed(
    outcomes: Mapping[str, Outcome], order: list[str], resting: set[str]
) -> None:
    uses: list[Use] = []
    chain, asked = chain_of(outcomes, order, resting, uses)
    candidates = [name for name in order if name not in resting] or order
    good = next((name for name in candidates if outcomes[name] is Outcome.OK), None)
    expected = candidates[: candidates.index(good) + 1] if good else candidates
    if good:
        assert chain.complete([], max_tokens=1, temperature=0, timeout_s=60).provider == good
    else:
        with pytest.raises(ModelUnavailableError) as caught:
            chain.complete([], max_tokens=1, temperature=0, timeout_s=60)
        assert all(f"{name}: {outcomes[name]}" in caught.value.detail for name in candidates)
    assert list(dict.fromkeys(asked)) == expected
    assert [use.provider for use in uses] == asked
    for name in expected:
        again = outcomes[name] in PASSING and name not in resting
        assert asked.count(name) == 1 + (RETRIES if again else 0)
    assert asked == sorted(asked, key=expected.index)


def test_every_outcome_is_judged() -> None:
    """A new outcome must say whether asking again helps and whether the provider is well."""
    neither = set(Outcome) - PASSING - ANSWERED
    assert neither == {Outcome.UNAUTHORIZED, Outcome.NOT_FOUND, Outcome.MALFORMED}
