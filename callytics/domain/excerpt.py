"""Which turns of a conversation are read for its summary: what was asked, what was done about it.

Turns are taken whole. Greetings, holding the line and asking who calls are left out where anything
else is left; they fill the prompt, and names that are not read are not repeated.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from callytics.domain.transcript import Role

# What a sentence is that tells nothing of the matter. Korean is compared without spaces.
_SMALL_TALK = re.compile(
    r"안녕하|감사(합|드|해)|고맙|고마워|좋은(하루|일)|수고(하|많)|반갑|축하드|죄송|사과드|불편을(드려|끼쳐)|양해"
    r"|무엇을도와|어떻게도와|어떤(문의|도움)|더(궁금|필요|도와)|놀라셨|당황|힘드셨|그러(셨|시)군요|다행이"
    r"|알겠(습니|어요)|알았(습니|어요)|기다려(주|볼)|잠시만|(확인|조회)해(보겠|드리겠|볼게)|괜찮(으십|으세|으신)"
    r"|(입니다|예요|이에요)[.]?$(?<=(센터|담당|상담사|상담원|[가-힣]{5}입니다)[.]?)"
)
