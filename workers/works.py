"""Which stage is done by what, and with which model."""

from typing import cast

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.adapters.fetch import HttpFetcher
from callytics.domain.stages import Stage
from callytics.ports import (
    ChatModel,
    Diarizer,
    Model,
    Preparer,
    Punctuator,
    SentimentModel,
    Transcriber,
)
from callytics.services.stage import StageWork
from callytics.services.stages.diarize import Diarize
from callytics.services.stages.merge import Merge
from callytics.services.stages.preprocess import Preprocess
from callytics.services.stages.punctuate import Punctuate
from callytics.services.stages.sentiment import AnalyseSentiment
from callytics.services.stages.transcribe import Transcribe
from callytics.settings import Settings
from workers.runtimes import load


class Works:
    """The real works. Every stage but merge has a model, which has the stage's name in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.store = ObjectAudioStore(settings.audio_store_url)

    def needs_model(self, stage: Stage) -> bool:
        return stage is not Stage.MERGE

    def load(self, stage: Stage) -> Model:
        if stage is Stage.PREPROCESS:
            return self._preparer()
        return load(stage.value, self._settings)

    def make(self, stage: Stage, model: Model | None) -> StageWork:
        match stage:
            case Stage.PREPROCESS:
                fetcher = HttpFetcher(self._settings.audio)
                return Preprocess(cast("Preparer", model), self.store, fetcher)
            case Stage.DIARIZE:
                return Diarize(cast("Diarizer", model), self.store)
            case Stage.TRANSCRIBE:
                return Transcribe(cast("Transcriber", model), self.store)
            case Stage.MERGE:
                return Merge()
            case Stage.PUNCTUATE:
                return Punctuate(cast("Punctuator", model))
            case Stage.SENTIMENT:
                return AnalyseSentiment(cast("SentimentModel", model))
            case Stage.SUMMARIZE:
                from callytics.services.stages.summarize import Summarize
                return Summarize(cast("ChatModel", model), self._settings.models.summarize)

    def _preparer(self) -> Preparer:
        # Only the worker of this queue has the libraries that these import.
        from workers.runtimes.audio import AudioPreparer  # noqa: PLC0415
        from workers.runtimes.voice_activity import SileroVoiceActivity  # noqa: PLC0415

        return AudioPreparer(
            self._settings.audio, store=self.store, voice_activity=SileroVoiceActivity()
        )
