"""How good an analysis is: named checks with weights, each of which a person can repeat.

A model's own opinion of its work is none of them. The table CHECKS is what the score is made of.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from callytics.domain import analysis_wording, summary_checks
from callytics.domain.analysis import (
    FEWEST_KEYWORDS,
    LONGEST_KEYWORD,
    LONGEST_PART,
    LONGEST_TITLE,
    MOST_KEYWORDS,
    SIDES,
    Reading,
    Talk,
)
from callytics.domain.analysis_answer import Settled, unsaid_words
from callytics.domain.analysis_wording import Part
from callytics.domain.evidence import Said, Support, matter_words, mentions, says, support
from callytics.domain.numerals import unsaid_numbers
from callytics.domain.summary_checks import Candidate, Check
from callytics.domain.transcript import Role

SHORTEST_PART, SHORTEST_KEYWORD = 4, 2
TITLE_WORDS = range(2, 5)

WELL_GROUNDED = 0.6
"""Share of a part's words from which on it counts as resting on its evidence."""

PART_WORTH = 2
"""What a part of the summary counts beside the keywords and each title."""


class AnalysisCheck(StrEnum):
    SCHEMA_VALID = "schema_valid"
    AS_WRITTEN = "as_written"
    LANGUAGE = "language"
    KEYWORDS_FOUND = "keywords_found"
    FIGURES_FOUND = "figures_found"
    NAMES_FOUND = "names_found"
    WORDS_FOUND = "words_found"
    CUSTOMER_GROUNDED = "customer_grounded"
    AGENT_GROUNDED = "agent_grounded"
    RESULT_GROUNDED = "result_grounded"
    RIGHT_SIDES = "right_sides"
    RESULT_LATE = "result_late"
    PARTS_DIFFER = "parts_differ"
    TITLES_CONSISTENT = "titles_consistent"
    TITLE_FORM = "title_form"
    LENGTHS = "lengths"
    NOUN_PHRASES = "noun_phrases"
    OWN_WORDS = "own_words"
    WHOLE_READ = "whole_read"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The sentences that each part and each keyword rests on."""

    parts: Mapping[Part, Support]
    keywords: Mapping[str, tuple[Said, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """An analysis to judge. `valid_at_once`: the model's first answer had the form asked for."""

    settled: Settled
    talk: Talk
    reading: Reading
    evidence: Evidence
    valid_at_once: bool

    @property
    def texts(self) -> Sequence[str]:
        """What is written in phrases."""
        return (*self.settled.parts.values(), self.settled.descriptive_title)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a check found: a score (0..1) that counts `weight` times, and what it means."""

    check: AnalysisCheck
    passed: bool
    score: float
    weight: float
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """`score` gives 0..1, or None where the check says nothing of this conversation."""

    meaning: str
    weight: float
    score: Callable[[Outcome], float | None]
    passes_at: float = 1.0


def find_evidence(settled: Settled, talk: Talk) -> Evidence:
    late_first = talk.matter[::-1]
    parts = {
        part: support(text, late_first if part is Part.RESULT else talk.matter, SIDES[part])
        for part, text in settled.parts.items()
    }
    keywords = {keyword: mentions(keyword, talk.said) for keyword in settled.keywords}
    return Evidence(parts=parts, keywords=keywords)


def judge(outcome: Outcome) -> tuple[Finding, ...]:
    """What each check that applies finds, in the order of the table."""
    scores = {check: spec.score(outcome) for check, spec in CHECKS.items()}
    return tuple(
        Finding(
            check=check,
            passed=score >= CHECKS[check].passes_at,
            score=round(score, 3),
            weight=CHECKS[check].weight,
            detail=CHECKS[check].meaning,
        )
        for check, score in scores.items()
        if score is not None
    )


def quality_score(findings: Iterable[Finding]) -> float:
    """The weighted mean of the findings, 0..1."""
    found = list(findings)
    weight = sum(finding.weight for finding in found)
    return round(sum(finding.score * finding.weight for finding in found) / weight, 2)


def _as_written(outcome: Outcome) -> float:
    worths = {
        **{f"summary.{part}": PART_WORTH for part in Part},
        **dict.fromkeys(("keywords", "titles.keyword", "titles.descriptive"), 1),
    }
    lost = sum(worths[name] for name in outcome.settled.replaced)
    return 1 - lost / sum(worths.values())


def _passing(outcome: Outcome, check: Check, texts: Sequence[str]) -> float:
    """The share of `texts` that pass one of the checks that summaries have to pass."""
    return _share(
        summary_checks.CHECKS[check](
            Candidate(
                text=text,
                asked="",
                done="",
                conversation=outcome.talk.spoken,
                prompt="",
                language=outcome.talk.language,
            )
        )
        for text in texts
    )


def _language(outcome: Outcome) -> float:
    return _passing(outcome, Check.LANGUAGE, (*outcome.texts, " ".join(outcome.settled.keywords)))


def _keywords_found(outcome: Outcome) -> float:
    found = sum(bool(said) for said in outcome.evidence.keywords.values())
    return found / max(1, len(outcome.settled.keywords) + outcome.settled.unsaid_keywords)


def _figures_found(outcome: Outcome) -> float:
    return _share(not unsaid_numbers(text, outcome.talk.spoken) for text in outcome.texts)


def _names_found(outcome: Outcome) -> float:
    return _passing(outcome, Check.NAMES, outcome.texts)


def _words_found(outcome: Outcome) -> float:
    words = matter_words(" ".join(outcome.texts))
    unsaid = unsaid_words(" ".join(outcome.texts), outcome.talk)
    return 1 - len(unsaid) / len(words) if words else 0.0


def _grounded(part: Part) -> Callable[[Outcome], float]:
    return lambda outcome: outcome.evidence.parts[part].share


def _right_sides(outcome: Outcome) -> float | None:
    if Role.UNKNOWN in {utterance.role for utterance in outcome.talk.utterances}:
        return None
    return _share(
        side in {said.role for said in outcome.evidence.parts[part].sentences}
        for part, side in SIDES.items()
        if side
    )


def _result_late(outcome: Outcome) -> float:
    middle = len(outcome.talk.text) / 2
    found = outcome.evidence.parts[Part.RESULT].sentences
    return float(any(said.end > middle for said in found))


def _parts_differ(outcome: Outcome) -> float:
    texts = ["".join(text.split()) for text in outcome.settled.parts.values()]
    pairs = [(one, other) for one in texts for other in texts if one is not other]
    return float(not any(one in other for one, other in pairs))


def _titles_consistent(outcome: Outcome) -> float:
    """Words of the titles that the summary or the keywords have, or the conversation's customer says."""
    settled = outcome.settled
    body = " ".join((*settled.parts.values(), *settled.keywords))
    words = matter_words(f"{settled.keyword_title.replace('_', ' ')} {settled.descriptive_title}")
    return _share(says(body, word) for word in words) if words else 0.0


def _title_form(outcome: Outcome) -> float:
    words = outcome.settled.keyword_title.split("_")
    plain = all(word and not word.isspace() and word == "".join(word.split()) for word in words)
    return float(
        plain and len(words) in TITLE_WORDS and "\n" not in outcome.settled.descriptive_title
    )


def _lengths(outcome: Outcome) -> float:
    settled = outcome.settled
    return _share(
        (
            *(SHORTEST_PART <= len(text) <= LONGEST_PART for text in settled.parts.values()),
            *(SHORTEST_KEYWORD <= len(word) <= LONGEST_KEYWORD for word in settled.keywords),
            FEWEST_KEYWORDS <= len(settled.keywords) <= MOST_KEYWORDS,
            SHORTEST_PART <= len(settled.keyword_title) <= LONGEST_TITLE,
            SHORTEST_PART <= len(settled.descriptive_title) <= LONGEST_TITLE,
        )
    )


def _noun_phrases(outcome: Outcome) -> float:
    spoken = analysis_wording.of(outcome.talk.language).spoken
    return _share(not spoken.search(text.strip("“”")) for text in outcome.texts)


def _own_words(outcome: Outcome) -> float:
    checks = (Check.OWN_WORDS, Check.NO_LABELS)
    return _share(
        _passing(outcome, check, [text]) == 1 for text in outcome.texts for check in checks
    )


def _share(passes: Iterable[bool]) -> float:
    found = list(passes)
    return sum(found) / len(found) if found else 1.0


CHECKS: Mapping[AnalysisCheck, Spec] = {
    AnalysisCheck.SCHEMA_VALID: Spec(
        meaning="The model's first answer had the form that was asked for.",
        weight=2,
        score=lambda outcome: float(outcome.valid_at_once),
    ),
    AnalysisCheck.AS_WRITTEN: Spec(
        meaning="All fields are the model's; others are the speakers' own words, or made of the keywords.",
        weight=8,
        score=_as_written,
    ),
    AnalysisCheck.LANGUAGE: Spec(
        meaning="Everything is in the language of the conversation.", weight=2, score=_language
    ),
    AnalysisCheck.KEYWORDS_FOUND: Spec(
        meaning="Every keyword that the model gave is said in the conversation; others are left out.",
        weight=3,
        score=_keywords_found,
    ),
    AnalysisCheck.FIGURES_FOUND: Spec(
        meaning="Every number is said in the conversation.", weight=3, score=_figures_found
    ),
    AnalysisCheck.NAMES_FOUND: Spec(
        meaning="Every name is said in the conversation.", weight=2, score=_names_found
    ),
    AnalysisCheck.WORDS_FOUND: Spec(
        meaning="Every word that carries a matter is said in the conversation.",
        weight=3,
        score=_words_found,
    ),
    AnalysisCheck.CUSTOMER_GROUNDED: Spec(
        meaning="Share of the customer's part that the sentences shown as its evidence say.",
        weight=3,
        score=_grounded(Part.CUSTOMER),
        passes_at=WELL_GROUNDED,
    ),
    AnalysisCheck.AGENT_GROUNDED: Spec(
        meaning="Share of the agent's part that the sentences shown as its evidence say.",
        weight=3,
        score=_grounded(Part.AGENT),
        passes_at=WELL_GROUNDED,
    ),
    AnalysisCheck.RESULT_GROUNDED: Spec(
        meaning="Share of the result that the sentences shown as its evidence say.",
        weight=3,
        score=_grounded(Part.RESULT),
        passes_at=WELL_GROUNDED,
    ),
    AnalysisCheck.RIGHT_SIDES: Spec(
        meaning="The customer's part rests on the customer's turns, the agent's on the agent's.",
        weight=2,
        score=_right_sides,
    ),
    AnalysisCheck.RESULT_LATE: Spec(
        meaning="The result rests on something that is said in the second half.",
        weight=1,
        score=_result_late,
    ),
    AnalysisCheck.PARTS_DIFFER: Spec(
        meaning="No part of the summary repeats another.", weight=2, score=_parts_differ
    ),
    AnalysisCheck.TITLES_CONSISTENT: Spec(
        meaning="The titles say nothing that summary and keywords do not.",
        weight=2,
        score=_titles_consistent,
        passes_at=0.8,
    ),
    AnalysisCheck.TITLE_FORM: Spec(
        meaning="The keyword title is two to four words joined with _, the other one line.",
        weight=1,
        score=_title_form,
    ),
    AnalysisCheck.LENGTHS: Spec(
        meaning="No field is too short or too long, and there are two to six keywords.",
        weight=1,
        score=_lengths,
    ),
    AnalysisCheck.NOUN_PHRASES: Spec(
        meaning="Summary and title are phrases, not speech.", weight=2, score=_noun_phrases
    ),
    AnalysisCheck.OWN_WORDS: Spec(
        meaning="Nothing longer than 25 characters is copied, repeats itself or carries labels.",
        weight=2,
        score=_own_words,
    ),
    AnalysisCheck.WHOLE_READ: Spec(
        meaning="Share of the conversation that the model read, greetings left aside.",
        weight=2,
        score=lambda outcome: outcome.reading.share,
    ),
}
