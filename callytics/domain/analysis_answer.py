"""What is made of a model's analysis: the phrases that the conversation bears out, else its own words.

No field is empty and none is made up: what is missing is said in the speakers' own words, in quotes.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from callytics.domain import analysis_wording, summary_wording
from callytics.domain.analysis import (
    FEWEST_KEYWORDS,
    LONGEST_KEYWORD,
    LONGEST_PART,
    LONGEST_TITLE,
    LONGEST_TITLE_WORD,
    MOST_KEYWORDS,
    MOST_PHRASES,
    SIDES,
    TITLE_WORDS,
    Message,
    Talk,
    one_line,
)
from callytics.domain.analysis_wording import Fault, Part, Written
from callytics.domain.evidence import SAID_AS, matter_words, mentions, says
from callytics.domain.excerpt import acts, asks
from callytics.domain.summary_checks import (
    CHECKS,
    KIND_WORDS,
    Candidate,
    Check,
    bears_out,
    said_in,
)
from callytics.domain.transcript import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A model's answer: the phrases that can stay, and why others cannot."""

    parts: Mapping[Part, str]
    keywords: tuple[str, ...]
    keyword_title: str
    descriptive_title: str
    faults: frozenset[Fault]
    unsaid_keywords: int
    """Keywords that nobody said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """The fields as they are shown; what was not the model's is named in `replaced`."""

    parts: Mapping[Part, str]
    keywords: tuple[str, ...]
    keyword_title: str
    descriptive_title: str
    replaced: tuple[str, ...] = field(default=())
    unsaid_keywords: int = 0


# --- what is kept of an answer -------------------------------------------------------------------


def sift(written: Written, talk: Talk, messages: Sequence[Message]) -> Draft:
    """What of the answer to `messages` can stay."""
    shown = "\n".join(message["content"] for message in messages[:-1])
    phrasing = analysis_wording.of(talk.language)
    faults: set[Fault] = set()
    kept: dict[Part, list[str]] = {}
    for part in Part:
        sound, wrong = _sound_phrases(written.parts[part], talk, shown)
        kept[part] = [phrase for phrase in sound if _on_side(phrase, SIDES[part], talk)]
        faults |= set() if kept[part] else wrong or {Fault.MADE_UP}
    kept[Part.CUSTOMER] = phrasing.matter(kept[Part.CUSTOMER])
    _tell_apart(kept)
    parts = {part: ", ".join(phrases[:MOST_PHRASES]) for part, phrases in kept.items()}
    title, wrong = _sound_phrases(written.descriptive_title, talk, shown)
    given = dict.fromkeys(_keyword(keyword) for keyword in written.keywords)
    said = tuple(keyword for keyword in given if _is_keyword(keyword, talk))
    return Draft(
        parts=parts,
        keywords=said[:MOST_KEYWORDS],
        keyword_title=_keyword_title(written.keyword_title, said, talk),
        descriptive_title=", ".join(title),
        faults=frozenset(faults),
        unsaid_keywords=len(given) - len(said),
    )


def _sound_phrases(text: str, talk: Talk, prompt_text: str) -> tuple[list[str], set[Fault]]:
    """The phrases of a field that can stay, and what is wrong with the others."""
    kept: list[str] = []
    faults: set[Fault] = set()
    phrases = [phrase.strip(" .\"'“”") for phrase in _BETWEEN_PHRASES.split(one_line(text))]
    if len(text) >= LONGEST_PART:
        phrases, faults = phrases[:-1], {Fault.CUT}
    phrasing = analysis_wording.of(talk.language)
    for phrase in filter(None, map(phrasing.phrase, phrases)):
        fault = phrase_fault(phrase, talk, prompt_text)
        if fault:
            faults.add(fault)
        elif not any(phrase in other or other in phrase for other in kept):
            kept.append(phrase)
    return kept, faults


def _on_side(phrase: str, side: Role | None, talk: Talk) -> bool:
    """Whether the side that a part is about says at least half of what is said of its words."""
    own = "\n".join(one.text for one in talk.utterances if one.role is side)
    if not own or Role.UNKNOWN in {one.role for one in talk.utterances}:
        return True
    said = [word for word in matter_words(phrase) if says(talk.spoken, word)]
    return 2 * sum(says(own, word) for word in said) >= len(said)


def _tell_apart(kept: Mapping[Part, list[str]]) -> None:
    """What agent and result both say stays with the one that has nothing else, else with the result."""
    agent, result = kept[Part.AGENT], kept[Part.RESULT]
    if set(agent) - set(result):
        agent[:] = [phrase for phrase in agent if phrase not in result]
    elif set(result) - set(agent):
        result[:] = [phrase for phrase in result if phrase not in agent]


_BETWEEN_PHRASES = re.compile(r"[;、]\s*|,\s+|,(?!\d)|[.?!]\s+")


def phrase_fault(phrase: str, talk: Talk, prompt_text: str = "") -> Fault | None:
    """Why a phrase cannot stay, if it cannot."""
    candidate = Candidate(
        text=phrase,
        asked="",
        done="",
        conversation=talk.spoken,
        prompt=prompt_text,
        language=talk.language,
    )
    if not CHECKS[Check.LANGUAGE](candidate):
        return Fault.LANGUAGE
    said = all(CHECKS[check](candidate) for check in (Check.NUMBERS, Check.NAMES))
    if not (said and not unsaid_words(phrase, talk) and _stands(phrase, talk)):
        return Fault.MADE_UP
    spoken = analysis_wording.of(talk.language).spoken.search(phrase)
    if spoken or not all(CHECKS[check](candidate) for check in _COPIED):
        return Fault.COPIED
    return None


_COPIED = (Check.NO_LABELS, Check.NO_ECHO, Check.OWN_WORDS)


HARMLESS = KIND_WORDS - SAID_AS.keys()
"""What a matter may be called although nobody said so, and what is no claim by itself."""


def unsaid_words(text: str, talk: Talk) -> list[str]:
    """Words that carry a matter and that nobody said."""
    return [
        word
        for word in matter_words(text)
        if not says(talk.spoken, word)
        and HARMLESS.isdisjoint({word.lower(), _PARTICLE.sub("", word)})
    ]


def _stands(phrase: str, talk: Talk) -> bool:
    """Whether something of the phrase is said, and its matter is not denied wherever it is said."""
    words = [word for word in matter_words(phrase) if word not in talk.persons]
    said = [word for word in words if len(word) > 1 and says(talk.spoken, word)]
    if not said or ("완료" in phrase and not _done(said[-1], talk)):
        return False
    turns = [one.text for one in talk.utterances if said_in(said[-1], one.text)]
    denies = _DENIES.search(phrase)
    return bool(denies) or not turns or any(bears_out(turn, said[-1]) for turn in turns)


def _done(word: str, talk: Talk) -> bool:
    """Whether what the word names is said to be done, not promised."""
    return any(_PAST.search(one.text) for one in talk.said if says(one.text, word))


_PAST = re.compile(r"드렸|됐|되었|되셨|했습|했어|완료|마쳤|됩니다|보냈|바꿨|옮겼")
_DENIES = re.compile(r"없|불가|않|못|취소|면제|무료|\b(?:no|not|without)\b", re.IGNORECASE)
_PARTICLE = re.compile(r"(?<=[가-힣]{2})(?:을|를|이|가|은|는|에|로|으로|에서|도|만|의|한|할|된)$")


def _keyword(keyword: str) -> str:
    return one_line(keyword).strip(" .,#\"'_")[:LONGEST_KEYWORD]


def _is_keyword(keyword: str, talk: Talk) -> bool:
    """Whether it is said, and is one: no person, no number, no piece of a word or of speech."""
    if not keyword or keyword in talk.persons or _NO_KEYWORD.fullmatch(keyword):
        return False
    words = keyword.split()
    speech = analysis_wording.of(talk.language).spoken.search(keyword) or any(
        _NUMBER_OR_PARTICLE.search(word) for word in words
    )
    whole = len(words) <= MOST_WORDS and _begins_word(keyword, talk) and max(map(len, words)) > 1
    return whole and not speech and bool(mentions(keyword, talk.said))


def _begins_word(keyword: str, talk: Talk) -> bool:
    """Whether a Korean compound begins where a word does: 외과진료 is no keyword of 정형외과 진료."""
    if not re.match("[가-힣]{3}", keyword) or any(keyword in word for word in talk.spoken.split()):
        return True
    return bool(re.search(rf"(?<![가-힣]){keyword[:2]}", talk.spoken))


MOST_WORDS = 3
"""Words of a keyword."""

_NUMBER_OR_PARTICLE = re.compile(
    r"^[일이삼사오육칠팔구\d]*[십백천만억\d,]+(?:원|명|개월|개|번|시|분|기가|일|월|년|장|건)?$"
    r"|[가-힣](?:에|에서|을|를|은|는|으로)$"
)
_NO_KEYWORD = re.compile(r"[가-힣][을를이가은는에의도]?|교수님|고객님|기사님|선생님")


def _keyword_title(title: str, keywords: Collection[str], talk: Talk) -> str:
    """The title, if its words are said, but for an end like `안내`; else ""."""
    words = [word for word in map(_keyword, one_line(title).split("_")) if word]
    known = [
        word
        for word in dict.fromkeys(words)
        if word in keywords
        or _is_keyword(word, talk)
        or (word == words[-1] and not matter_words(word))
    ]
    whole = len(known) == len(words) and any(matter_words(word) for word in known)
    return _title_of(known) if whole and len(known) > 1 else ""


# --- what is shown -----------------------------------------------------------------------------


def settle(drafts: Sequence[Draft], talk: Talk) -> Settled:
    """Of each field the first draft's that can stay; the speakers' own words where none can."""
    parts = {
        part: next((draft.parts[part] for draft in drafts if draft.parts[part]), "")
        for part in Part
    }
    replaced = [f"summary.{part}" for part in Part if not parts[part]]
    title = next((draft.descriptive_title for draft in drafts if draft.descriptive_title), "")
    own_title = _own_title(parts, talk)
    parts = {part: parts[part] or quoted(part, talk) for part in Part}
    best = max(drafts, key=lambda draft: len(draft.keywords) >= FEWEST_KEYWORDS)
    keywords = best.keywords
    if len(keywords) < FEWEST_KEYWORDS:
        replaced.append("keywords")
        keywords = _own_keywords(keywords, parts, talk)
    keyword_title = best.keyword_title
    if not keyword_title:
        replaced.append("titles.keyword")
        keyword_title = _title_of(keywords)
    if not title:
        replaced.append("titles.descriptive")
        title = own_title or " ".join(keywords[:TITLE_WORDS])
    return Settled(
        parts=parts,
        keywords=keywords,
        keyword_title=keyword_title,
        descriptive_title=title,
        replaced=tuple(replaced),
        unsaid_keywords=best.unsaid_keywords,
    )


def quoted(part: Part, talk: Talk) -> str:
    """A few of the speakers' own words: the customer's question, the agent's last deed."""
    said = talk.matter
    if part is Part.CUSTOMER:
        own = [one for one in said if one.role is not Role.AGENT] or said
        first = [one for one in own if one.turn == own[0].turn]
        chosen = next((one for one in first if asks(one.text)), first[0])
    else:
        own = [one for one in said if one.role is not Role.CUSTOMER] or said
        deeds = [one for one in own if acts(one.text) and not one.text.endswith(("?", "？"))] or own
        chosen = deeds[0 if part is Part.AGENT else -1]
    return f"“{summary_wording.of(talk.language).few_words(chosen.text)}”"


def _title_of(keywords: Sequence[str]) -> str:
    return "_".join(_joined(keyword)[:LONGEST_TITLE_WORD] for keyword in keywords[:TITLE_WORDS])


def _own_keywords(found: Sequence[str], parts: Mapping[Part, str], talk: Talk) -> tuple[str, ...]:
    """The keywords found, and words of the summary, or of what was said, that are said most often."""
    sources = (" ".join(parts.values()), " ".join(line.text for line in talk.told), talk.spoken)
    general = analysis_wording.of(talk.language).general
    known = dict.fromkeys(found)
    for source in sources:
        words = [_PARTICLE.sub("", word)[:LONGEST_KEYWORD] for word in matter_words(source)]
        for word in sorted(
            set(words), key=lambda word: (-talk.spoken.count(word), words.index(word))
        ):
            if len(known) >= FEWEST_KEYWORDS + 1:
                break
            if len(word) > 1 and not any(word in other or other in word for other in known):
                known[word] = None
    return (
        tuple(known)
        if len(known) >= FEWEST_KEYWORDS
        else tuple({**known, **dict.fromkeys(general)})
    )


def _own_title(parts: Mapping[Part, str], talk: Talk) -> str:
    """What the model wrote of the customer and, if it fits, of the agent; "" if it wrote neither."""
    customer, agent = (parts[part].split(", ")[0] for part in (Part.CUSTOMER, Part.AGENT))
    both = analysis_wording.of(talk.language).joint.join((customer, agent))
    return both if customer and agent and len(both) <= LONGEST_TITLE else customer


def _joined(keyword: str) -> str:
    between = "" if re.search(r"[가-힣]", keyword) else "-"
    return re.sub(r'[\s_",\\]+', between, keyword)
