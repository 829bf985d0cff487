"""Any recording that ffmpeg can decode, as channels of 16 kHz on the disk: a long call fits no memory."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.errors import (
    AudioChannelsError,
    AudioTooLongError,
    AudioTooShortError,
    EmptyAudioError,
    NotAudioError,
    TruncatedAudioError,
)
from callytics.ports import Audio, Progress
from workers.audio.headers import mp3_tells_its_length, read_header

MAX_CHANNELS = 16

SLACK_S = 0.2
"""Codecs pad and trim a little at the ends; what is shorter than told by more was cut."""

GAP_S = 0.1
LONGEST_GAP_S = 3600.0
"""Where the times jump ahead by so much, nothing was recorded (a muted line): silence goes there, or
the words after it would come too early. A longer jump is a clock that was set, not a gap."""

# Containers and bare streams of sound. Not all that ffmpeg knows: playlists, for one, would have it
# open other files and addresses.
FORMATS = (
    "3g2 3gp aac ac3 aiff amr amrnb amrwb ape asf au avi caf dsf dss eac3 f4v flac flv g722 g723_1 g726 "
    "g729 gsm ilbc ircam iss ivr lc3 loas m4a matroska mj2 mov mp2 mp3 mp4 mpc mpc8 mpeg mpegts nistsphere "
    "nut ogg qcp rm rso sbc sox spdif tak tta voc w64 wav webm wv xwma"
).split()
_OPEN_OPTIONS = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}

# Formats whose header tells the exact length of the stream; elsewhere ffmpeg estimates.
_TELL_LENGTH = frozenset({"aiff", "au", "flac"})
