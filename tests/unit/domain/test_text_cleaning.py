import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.text_cleaning import clean, visible


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("<b>좋아요</b>!<br>정말", "좋아요 ! 정말"),
        ("<script>alert('감사')</script>네", "네"),
        ("<style>p {color: red}</style><p>별로예요</p>", "별로예요"),
        ("<!-- 감사 -->네", "네"),
        ("&lt;주의&gt; A&amp;S 센터&nbsp;좋아요", "<주의> A&S 센터 좋아요"),
        ("좋\u200b아\ufeff요\x00\x07", "좋아요"),
        ("\u202e뒤집힌\u202c 글", "뒤집힌 글"),
        ("  여러\t줄\r\n\u3000글  ", "여러 줄 글"),
        ("\u1112\u1161\u11ab글", "한글"),
        ("\u1112\u200d\u1161", "하"),
        ("a\0b\x1b[31mc", "ab[31mc"),
        ("half \ud83d", "half"),
        ("<img alt=\"a > b\" src='x>y'>좋아요", "좋아요"),
        ("<![CDATA[x]]> 네 <?php ?>", "네"),
        ("별로 <!-- 끝이 없는 말", "별로"),
        ("👍🏽 최고", "👍🏽 최고"),
    ],
)
def test_what_nobody_sees_is_taken_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize("text", ["<3 좋아요", "5 < 7", "가격<성능", "좋아요 <", "A & B", "a <b"])
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("text", ["", " \n", "<br>", "\x00\u200b", "<title>감사</title>"])
def test_nothing_may_be_left(text: str) -> None:
    assert clean(text) == ""


_MARKED_UP = st.lists(
    st.sampled_from(
        ["<b>", "</b>", "<", ">", "&amp;", "&#0;", "<!--", "-->", "<script>", '"', "\x00"]
    )
    | st.text(max_size=5)
).map("".join)


@given(_MARKED_UP)
def test_of_any_text_only_what_is_seen_is_left(text: str) -> None:
    cleaned = clean(text)
    assert cleaned == " ".join(cleaned.split())
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not {unicodedata.category(one) for one in cleaned} & {"Cc", "Cf", "Cs", "Co", "Cn"}


@given(st.text(st.characters()))
def test_without_markup_in_sight_it_is_cleaned_once_and_for_all(text: str) -> None:
    cleaned = visible(text)
    assert visible(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)


@pytest.mark.parametrize("piece", ["<a ", "<a b='", "</", "<!--", "<script>", "&#"])
def test_a_megabyte_of_broken_markup_comes_to_an_end(piece: str) -> None:
    """In time that grows with its square it would not, within the time that a test has."""
    assert "감사" in clean("감사" + piece * (2**20 // len(piece)))
