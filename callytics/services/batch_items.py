"""The analysis of one consultation of a batch, as a job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from callytics.db.batches import AnalysisItems, AnalysisResults, AnalysisRuns
from callytics.db.changes import announce
from callytics.db.models import AnalysisItem, Job
from callytics.db.turns import Turns
from callytics.domain.analysis import ANALYSIS_PROMPT_VERSION
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import CallNotFoundError
from callytics.ports import ChatModel, Progress
from callytics.services.analysis import Analysed, AnalysisOptions, analyse
from callytics.services.job_work import End
from callytics.services.quick_summary import render
from callytics.settings import ModelSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class _ToAnalyse:
    conversation: str
    language: str | None
    model: str
    options: Mapping[str, Any]


class AnalysisWork:
    kind = JobKind.ANALYSIS

    def __init__(
        self, model: Callable[[str], ChatModel], instead: Mapping[str, ModelSettings] | None = None
    ) -> None:
        """`model` gives the chat model of a name, on the server of the configured one.

        `instead` says what another variant takes in place of the model that a run names.
        """
        self._model = model
        self._instead = instead or {}

    def read(self, session: Session, job: Job) -> _ToAnalyse | End:
        """The text, or the turns of the call as they are now, and what the batch's run is done with."""
        item = AnalysisItems(session).get(job.id)
        run = AnalysisRuns(session).get(item.batch_id, item.run_no)
        conversation = item.conversation
        if conversation is None:
            turns = Turns(session).of(item.call_id) if item.call_id else ()
            conversation = render(turns)
            if item.call_id is None:
                return _call_deleted()
        own = self._instead.get(run.model)
        return _ToAnalyse(
            conversation=conversation,
            language=None,
            model=own.model if own else run.model,
            options=own.options if own else run.options,
        )

    def compute(self, inputs: _ToAnalyse, progress: Progress) -> Analysed:  # noqa: ARG002
        model = self._model(inputs.model)
        options = AnalysisOptions.of(inputs.options)
        return analyse(model, inputs.conversation, options, language=inputs.language)

    def write(self, session: Session, job: Job, found: Analysed) -> End:
        item: AnalysisItem = AnalysisItems(session).get(job.id)
        if item.call_id is None and item.conversation is None:
            return _call_deleted()
        AnalysisResults(session).put(
            item.id,
            item.run_no,
            analysis=found.to_json(),
            quality_score=found.analysis.quality_score,
            attempts=job.attempt,
            provider=found.answer.provider,
            model=found.answer.model,
            revision=found.answer.revision,
            prompt_version=ANALYSIS_PROMPT_VERSION,
            seconds=found.seconds,
            prompt_tokens=found.prompt_tokens,
            output_tokens=found.output_tokens,
            cost_usd=found.cost_usd,
        )
        announce(session, item.batch_id)
        return End()


def _call_deleted() -> End:
    problem = CallNotFoundError("The call was deleted before its analysis.")
    return End(status=StageStatus.FAILED, problem=problem)
