"""Which stage is done by what, and with which model."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from callytics.adapters.audio_store import make_audio_store
from callytics.adapters.fetch import HttpFetcher
from callytics.domain.stages import Stage
from callytics.ports import AudioStore, Model
from callytics.services.stage import StageWork
from callytics.services.stages.diarize import Diarize
from callytics.services.stages.merge import Merge
from callytics.services.stages.preprocess import Preprocess
from callytics.services.stages.punctuate import Punctuate
from callytics.services.stages.sentiment import AnalyseSentiment
from callytics.services.stages.summarize import Summarize
from callytics.services.stages.transcribe import Transcribe
from callytics.settings import Settings
from workers.runtimes import load


