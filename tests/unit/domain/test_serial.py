import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.audio import PreparedAudio
from callytics.domain.serial import from_json, to_json
from callytics.domain.transcript import (
    Interval,
    Role,
    Sentence,
    Sentiment,
    SentimentLabel,
    SpeakerSegment,
    Turn,
    Word,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(float, finite)


@pytest.mark.parametrize(
    "kind", [Interval, Word, SpeakerSegment, Sentiment, Sentence, Turn, PreparedAudio]
)
@given(data=st.data())
def test_a_value_comes_back_from_json_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(st.from_type(kind))
    assert from_json(kind, json.loads(json.dumps(to_json(value)))) == value


def test_the_form_is_plain() -> None:
    sentence = Sentence(text="네.", sentiment=Sentiment(label=SentimentLabel.NEUTRAL, score=0.5))
    turn = Turn(index=0, start_s=0.0, end_s=1.0, speaker="a", text="네.", sentences=(sentence,))
    assert to_json(turn) == {
        "index": 0,
        "start_s": 0.0,
        "end_s": 1.0,
        "speaker": "a",
        "text": "네.",
        "words": [],
        "sentences": [{"text": "네.", "sentiment": {"label": "neutral", "score": 0.5}}],
        "role": "unknown",
        "role_confidence": 0.0,
        "sentiment": None,
    }


def test_a_field_that_an_older_row_lacks_takes_its_default() -> None:
    old = {"index": 0, "start_s": 0.0, "end_s": 1.0, "speaker": "a", "text": "네."}
    assert from_json(Turn, old).role is Role.UNKNOWN
