"""One sentence for the agent's screen, asked of the small chat model and checked."""

from dataclasses import dataclass

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from callytics.db.models import Call, Summary
from callytics.db.turns import Turns
from callytics.domain.excerpt import Line
from callytics.domain.stages import Stage
from callytics.domain.summary import PROMPT_VERSION
from callytics.ports import ChatModel, Computed, Progress, answered_by
from callytics.services.summary import CheckedSummary, SummaryOptions, summarise
from callytics.settings import ModelSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class ToSummarise:
    lines: tuple[Line, ...]
    language: str | None


class Summarize:
    stage = Stage.SUMMARIZE

    def __init__(self, chat: ChatModel, settings: ModelSettings) -> None:
        self._chat = chat
        self._options = SummaryOptions.of(settings.options)

    def read(self, session: Session, call: Call) -> ToSummarise:
        turns = Turns(session).of(call.id)
        return ToSummarise(
            lines=tuple(Line(role=turn.role, text=turn.text) for turn in turns),
            language=call.detected_language or call.language,
        )

    def compute(self, inputs: ToSummarise, progress: Progress) -> Computed:
        found = summarise(self._chat, inputs.lines, inputs.language, self._options)
        return Computed(value=found, model=answered_by(self._chat.info, found.answer))

    def write(self, session: Session, call: Call, computed: Computed) -> None:
        found: CheckedSummary = computed.value
        assert computed.model is not None  # noqa: S101 (compute names it)
        row = {
            "text": found.text,
            "provider": found.answer.provider if found.answer else None,
            "model": computed.model.name,
            "revision": computed.model.revision,
            "prompt_version": PROMPT_VERSION,
            "seconds": found.seconds,
            "prompt_tokens": found.prompt_tokens,
            "output_tokens": found.output_tokens,
            "cost_usd": found.cost_usd,
            "checks": found.checks,
            "created_at": func.clock_timestamp(),
        }
        session.execute(
            insert(Summary)
            .values(call_id=call.id, **row)
            .on_conflict_do_update(index_elements=[Summary.call_id], set_=row)
        )
