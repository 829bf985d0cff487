"""A call's result as a person reads it: what was said, by whom, in which mood, and how it all ran."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from callytics.cli.console import READING_WIDTH, colored, stdout

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

ROLE_STYLES: Mapping[str, str] = {"agent": "cyan", "customer": "yellow"}
MOOD_STYLES: Mapping[str, str] = {"positive": "green", "negative": "red", "neutral": "dim"}
STATUS_STYLES: Mapping[str, str] = {
    "completed": "green",
    "failed": "red",
    "running": "cyan",
    "done": "green",
    "completed_with_errors": "yellow",
    "sending": "cyan",
    "delivered": "green",
    "dead": "red",
}


def print_report(call: Mapping[str, Any], title: str | None = None) -> None:
    """Print `call` as the API shows it."""
    from rich.console import Group
    from rich.panel import Panel

    for part in (
        Panel(Group(*_head(call)), title=title or call["call_id"], title_align="left"),
        *_body(call),
    ):
        stdout().print(part, width=min(READING_WIDTH, stdout().width))


def _head(call: Mapping[str, Any]) -> Iterator["RenderableType"]:
    from rich.text import Text

    facts = [
        clock(call.get("duration_s")),
        call.get("language"),
        call.get("consultation_id"),
        call["call_id"],
    ]
    yield Text.assemble(
        colored(call["status"], STATUS_STYLES.get(call["status"], "")),
        *(f"  {fact}" for fact in facts if fact),
    )
    if summary := call.get("summary"):
        yield Text.assemble("Summary: ", (summary["text"], "bold"))


def _body(call: Mapping[str, Any]) -> Iterator["RenderableType"]:
    for problem in problems(call):
        yield colored(problem, "red")
    if call.get("turns"):
        yield _transcript(call["turns"])
        yield ""
    if call.get("sentiment") or call.get("metrics"):
        yield _figures(call.get("sentiment") or {}, call.get("metrics") or {})
        yield ""
    if call.get("communication"):
        yield _communication(call["communication"])
        yield ""
    if words := (call.get("sentiment") or {}).get("words"):
        yield from _words(words)
    if call.get("stages"):
        yield _stages(call["stages"])
        yield ""


def problems(call: Mapping[str, Any]) -> list[str]:
    """Why stages of the call failed, a sentence each."""
    return [
        f"{stage['name']}: {stage['problem'].get('detail')} ({stage['problem'].get('code')})"
        for stage in call.get("stages", ())
        if stage["status"] == "failed" and stage.get("problem")
    ]


def _transcript(turns: list[Mapping[str, Any]]) -> "Table":
    table = _table("at", "who", "mood", "what was said")
    for turn in turns:
        known = turn["role"] != "unknown"
        table.add_row(
            colored(clock(turn["start_s"]), "dim"),
            colored(turn["role"] if known else turn["speaker"], ROLE_STYLES.get(turn["role"], "")),
            _mood(turn.get("sentiment")),
            _sentences(turn),
        )
    return table


def _sentences(turn: Mapping[str, Any]) -> "Text":
    """The turn's text, each sentence in the colour of its mood."""
    from rich.text import Text

    if not turn.get("sentences"):
        return Text(turn["text"])
    return Text(" ").join(map(_sentence, turn["sentences"]))


def _sentence(sentence: Mapping[str, Any]) -> "Text":
    label = (sentence.get("sentiment") or {"label": "neutral"})["label"]
    return colored(sentence["text"], "" if label == "neutral" else MOOD_STYLES[label])


def _mood(sentiment: Mapping[str, Any] | None) -> "Text":
    if not sentiment:
        return colored("", "")
    label = sentiment["label"]
    return colored(f"{label} {sentiment['score']:.2f}", MOOD_STYLES.get(label, ""))


def _figures(sentiment: Mapping[str, Any], metrics: Mapping[str, Any]) -> "Table":
    """A column for the call and one for each role."""
    moods = sentiment.get("by_role") or {}
    roles = metrics.get("roles") or {}
    names = list(dict.fromkeys((*roles, *moods)))
    table = _table("", "call", *names)
    for column, name in zip(table.columns[2:], names, strict=True):
        column.header_style = ROLE_STYLES.get(name, "")
    table.add_row("sentiment", _mood(sentiment), *(_mood(moods.get(name)) for name in names))
    if metrics:
        for label, of_call, of_role in FIGURES:
            cells = (of_role(roles[name]) if name in roles else "" for name in names)
            table.add_row(label, of_call(metrics), *cells)
    return table


def _share(values: Mapping[str, Any], seconds: str, share: str) -> str:
    return f"{values[seconds]:.1f} s ({values[share]:.0%})"


def _longest_silence(call: Mapping[str, Any]) -> str:
    at = clock(call["longest_silence_start_s"])
    return f"{call['longest_silence_s']:.1f} s" + (f" at {at}" if at else "")


def _nothing(_: Mapping[str, Any]) -> str:
    return ""


Figure = Callable[[Mapping[str, Any]], str]

FIGURES: tuple[tuple[str, Figure, Figure], ...] = (
    ("speech", lambda c: f"{c['speech_s']:.1f} s", lambda r: _share(r, "talk_s", "talk_share")),
    ("turns", _nothing, lambda r: str(r["turns"])),
    ("words a minute", _nothing, lambda r: f"{r['words_per_minute']:.0f}"),
    ("syllables a minute", _nothing, lambda r: f"{r['syllables_per_minute']:.0f}"),
    ("interruptions", _nothing, lambda r: str(r["interruptions"])),
    ("silence", lambda c: _share(c, "silence_s", "silence_share"), _nothing),
    ("longest silence", _longest_silence, _nothing),
    ("overlap", lambda c: _share(c, "overlap_s", "overlap_share"), _nothing),
)
"""Label, and what is shown of the call and of each role (callytics/domain/metrics.py)."""


COMMUNICATION: tuple[tuple[str, Figure], ...] = (
    ("politeness", lambda f: f"{f['polite']} of {f['sentences']} sentences have a polite ending"),
    ("empathy", lambda f: f"{f['acknowledged']} of {f['complaints']} complaints acknowledged"),
    (
        "interruptions",
        lambda f: (
            f"agent {f['by_agent']} ({f['by_agent_per_minute']:.1f} a minute), "
            f"customer {f['by_customer']} ({f['by_customer_per_minute']:.1f} a minute)"
        ),
    ),
    (
        "answering",
        lambda f: (
            f"{f['answered']} of {f['questions']} questions answered, {f['promised']} promised"
        ),
    ),
)
"""Name of the figure, and the counts it comes from (callytics/domain/communication.py)."""

NO_SCORE: Mapping[str, str] = {
    "roles_unknown": "who is agent and who customer is not known",
    "no_sentences": "not punctuated",
    "no_sentiment": "sentiment not judged",
    "nothing_to_judge": "nothing to judge",
}


def _communication(figures: Mapping[str, Any]) -> "Table":
    table = _table("communication", "score", "")
    for name, counts in COMMUNICATION:
        figure = figures[name]
        if figure["score"] is None:
            table.add_row(name, "", colored(NO_SCORE[figure["reason"]], "dim"))
        else:
            table.add_row(name, f"{figure['score']:.0%}", counts(figure))
    return table


def _words(words: Mapping[str, Any]) -> Iterator["RenderableType"]:
    """The words of either kind that were said most."""
    from rich.text import Text

    for kind in ("positive", "negative"):
        if found := words[kind][:MOST_WORDS]:
            said = ", ".join(f"{one['word']} {one['count']}" for one in found)
            yield Text.assemble(f"{kind} words: ", (said, MOOD_STYLES[kind]))
    yield ""


MOST_WORDS = 8


def _stages(stages: list[Mapping[str, Any]]) -> "Table":
    table = _table("stage", "state", "waited", "ran", "attempts", "model", "device")
    for stage in stages:
        table.add_row(
            stage["name"],
            colored(stage["status"], STATUS_STYLES.get(stage["status"], "")),
            _seconds(stage.get("wait_s")),
            _seconds(stage.get("run_s")),
            str(stage["attempts"]),
            stage.get("model") or "",
            stage.get("device") or "",
        )
    return table


def _table(*columns: str) -> "Table":
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, header_style="dim")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def clock(seconds: float | None) -> str:
    """Minutes and seconds, as a player shows them."""
    return "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def when(time: str) -> str:
    """An RFC 3339 time as this machine's clock shows it."""
    return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M:%S}"
