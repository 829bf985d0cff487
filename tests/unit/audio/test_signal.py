from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.intervals import total_s
from callytics.domain.transcript import Interval
from tests.support.recordings import Samples, call, noise
from workers.audio.signal import (
    LIMIT_FROM,
    SILENCE_DBFS,
    blocks,
    level_dbfs,
    limited,
    own_speech,
    same_signal,
    snr_db,
    whole,
)


def interval(start_s: float, end_s: float) -> Interval:
    return Interval(start_s=start_s, end_s=end_s)


AGENT = call(start_s=1.0, length_s=7.0)[0]
CUSTOMER = call(start_s=8.7, length_s=5.0)[0]


def placed(sound: Samples, at_s: float, length_s: float = 20.0) -> Samples:
    samples = np.zeros(round(length_s * SAMPLE_RATE_HZ), np.float32)
    start = round(at_s * SAMPLE_RATE_HZ)
    samples[start : start + len(sound)] = sound
    return samples


def weaker(sound: Samples, by_db: float, delay_s: float = 0.0) -> Samples:
    shifted = np.roll(sound, round(delay_s * SAMPLE_RATE_HZ))
    return (shifted * 10 ** (-by_db / 20)).astype(np.float32)


@given(st.floats(0, 200), st.floats(0, 200), st.floats(0.5, 70))
def test_blocks_cover_an_interval_once(start_s: float, length_s: float, block_s: float) -> None:
    parts = list(blocks(interval(start_s, start_s + length_s), block_s))
    samples = [n for part in parts for n in (part.start, part.stop)]
    assert samples == sorted(samples)
    assert all(left.stop == right.start for left, right in pairwise(parts))
    assert sum(part.stop - part.start for part in parts) == pytest.approx(
        length_s * SAMPLE_RATE_HZ, abs=1
    )


def test_levels() -> None:
    tone = np.sin(np.arange(SAMPLE_RATE_HZ) * 0.1).astype(np.float32)
    assert level_dbfs(tone) == pytest.approx(-3.01, abs=0.02)
    assert level_dbfs(tone * np.float32(0.1), [interval(0.2, 0.7)]) == pytest.approx(-23, abs=0.1)
    assert level_dbfs(np.zeros(100, np.float32)) == SILENCE_DBFS
    assert level_dbfs(tone, []) == SILENCE_DBFS


def test_the_signal_to_noise_ratio_compares_speech_with_pauses() -> None:
    samples = placed(AGENT, 2.0) + noise(20, -50)[0]
    found = snr_db(samples, [interval(2.0, 9.0)])
    assert found == pytest.approx(level_dbfs(AGENT) + 50, abs=0.5)
    assert snr_db(samples, []) is None
    assert snr_db(samples, [whole(samples)]) is None


def test_one_signal_recorded_twice_is_known_at_any_level_and_polarity() -> None:
    samples = placed(AGENT, 2.0)
    assert same_signal(samples, samples)
    assert same_signal(samples, weaker(samples, 30))
    assert same_signal(samples, -samples)
    assert same_signal(samples, samples + noise(20, -45)[0])


def test_two_people_are_two_signals() -> None:
    agent, customer = placed(AGENT, 2.0), placed(CUSTOMER, 3.0)
    assert not same_signal(agent, customer)
    assert not same_signal(agent, np.zeros_like(agent))
    assert not same_signal(agent + weaker(customer, 25), customer + weaker(agent, 25))


@pytest.mark.parametrize("by_db", [20, 25, 35])
@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.25])
def test_crosstalk_is_not_a_channels_own_speech(by_db: float, delay_s: float) -> None:
    agent, customer = placed(AGENT, 1.0), placed(CUSTOMER, 12.0)
    mixed = customer + weaker(agent, by_db, delay_s) + noise(20, -70)[0]
    heard = [interval(1.0, 8.3), interval(12.0, 17.0)]
    assert own_speech(mixed, heard, [agent]) == (interval(12.0, 17.0),)
    assert own_speech(agent, [interval(1.0, 8.0)], [mixed]) == (interval(1.0, 8.0),)


def test_crosstalk_that_runs_on_into_own_speech_is_cut_off() -> None:
    agent, customer = placed(AGENT, 1.0), placed(CUSTOMER, 8.0)
    [own] = own_speech(customer + weaker(agent, 22), [interval(1.0, 13.0)], [agent])
    assert own.start_s == pytest.approx(8.0, abs=1.0)
    assert own.end_s == 13.0


def test_who_speaks_softly_while_another_speaks_is_heard() -> None:
    agent, customer = placed(AGENT, 1.0), weaker(placed(CUSTOMER, 2.0), 25)
    assert total_s(own_speech(customer, [interval(2.0, 7.0)], [agent])) == pytest.approx(5.0)


def test_digital_silence_is_nobodys_crosstalk() -> None:
    silent = np.zeros(20 * SAMPLE_RATE_HZ, np.float32)
    assert own_speech(silent, [interval(0, 5)], [silent]) == (interval(0, 5),)


@given(st.lists(st.floats(-30000, 30000, width=32), min_size=1, max_size=50))
def test_the_limiter_bends_peaks_and_leaves_the_rest(values: list[float]) -> None:
    samples = np.array(values, np.float32)
    bent = limited(samples)
    small = np.abs(samples) <= LIMIT_FROM
    assert np.abs(bent).max() <= 1
    assert (bent[small] == samples[small]).all()
    order = np.argsort(samples, kind="stable")
    assert (np.diff(bent[order]) >= 0).all()
