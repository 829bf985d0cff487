"""Real models on the shipped call: whose words are they?"""

import pytest

from bench.attribution import hear, score
from callytics.domain.transcript import Role
from callytics.settings import Settings
from tests.support.recordings import SAMPLES


@pytest.mark.models
@pytest.mark.parametrize("name", ["dialogue_16k_mono.wav", "dialogue_8k_stereo_ulaw.wav"])
def test_words_go_to_the_speaker_who_said_them(name: str) -> None:
    conversation = hear(SAMPLES / name, Settings())
    found = score(conversation.turns, SAMPLES / "dialogue_ref.json")
    assert found.judged > 80
    assert found.share >= 0.97
    assert [turn.role for turn in conversation.turns] == [Role.AGENT, Role.CUSTOMER] * 6 + [
        Role.AGENT
    ]
