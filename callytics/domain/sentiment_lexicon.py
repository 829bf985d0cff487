"""The words that `sentiment_words` knows, written for call centres.

A line is a dictionary form and, after it, the stems it is known by (regular expressions that start
with a letter), where they are not the form less its 다 or 하다 (then no other noun may follow: 안심번호).
A stem begins an eojeol. `_` is a space that may be missing; after the last one an adverb, 안 or 못 may
stand. An open syllable at a stem's end stands for the same one with any final: 나 is 났 and 납 too.
Names of faults (오류, 고장) and apologies are no sentiment.
"""

JOYS = r"""
감사하다 감사\s?하 감사\s?해 감사\s?드 감사의
고맙다 고마
좋다 좋(?!겠|을까|으시면|으실|을\s것|으면)
친절하다
만족하다 만족(?!도)
기쁘다 기쁘 기뻐
행복하다
다행이다 다행
안심하다
편하다 편하(?!신|실|시|면) 편해
편리하다
편안하다
쾌적하다
마음에_들다 마음에_드
마음이_놓이다 마음이_놓 한시름_놓
마음이_풀리다 마음이_풀
마음이_가볍다 마음이_가벼
도움이_되다 도움(?:이|도)?_되(?!셨나|시나|실) 도움(?:이|도)?_돼
덕분
최고 최고예 최고네 최고입 최고이 최고야 최고였
훌륭하다
완벽하다
감동하다 감동
칭찬하다
믿다 믿(?!었다|기지)
믿음이_가다 믿음이_가
든든하다
뿌듯하다
후련하다
홀가분하다
수월하다
한결 한결(?![가-힣])
상쾌하다
속이_시원하다 속이_시원
신기하다
예쁘다 예쁘 예뻐
맛있다 맛있
깨끗하다
꼼꼼하다
튼튼하다
저렴하다
상냥하다
차분하다
따뜻하다
따끈하다 따끈
세심하다
신속하다
빠르다 빨라 빠르네 빠르시네 빠르세
소중하다
즐겁다 즐거
재미있다 재미있 재밌
반하다 반했
축하하다 축하
축복 축복 복_받 복_많이
수고하다
흡족하다
뛰어나다
유익하다
잘되다 잘_됐네 잘_됐다 잘_됐어 잘_해결 잘됐
잘하다 잘해_주시(?!겠) 참_잘 정말_잘
기대_이상
힘이_나다 힘이_나 힘이_되
살_것_같다 살_것_같 살았네
보람 보람
추천하다 추천하고_싶 추천할게 추천했
흠잡을_데_없다 흠잡을_데(?:가|는)?_없
문제없다 문제(?:가|는|도)?_없
thank
appreciate appreciat
great
excellent
wonderful
awesome
perfect
happy
glad
pleased
helpful
friendly
love lov(?:e|ed|es|ely)\b
relieved
satisfied
recommend
congratulations congrat
good good\b(?!\s(?:morning|afternoon|evening|day))
kind very_kind so_kind
nice nice(?!\sday)
no_problem
acceptable
"""
"""Thanks, joy, relief, praise."""

SORROWS = r"""
화가_나다 화(?:가|도)?_나 화를?_내 화가?_치밀
짜증
답답하다
속상하다
억울하다
불안하다
걱정하다
염려하다
무섭다 무서
두렵다 두려
겁이_나다 겁이?_나
초조하다
서운하다
섭섭하다
서럽다 서러
실망하다
후회하다
지치다 지치 지쳐
지긋지긋하다 지긋지긋
지겹다 지겨
힘들다 힘드
괴롭다 괴로
슬프다 슬프 슬퍼
우울하다
불쾌하다
당황하다
당혹하다 당혹
황당하다
난감하다
곤란하다 곤란(?!합니다만|하지만)
스트레스
눈물
싫다 싫
귀찮다 귀찮
번거롭다 번거로
부담스럽다 부담스러
불편하다 불편(?![가-힣]*(?:신고|사항)|함?[을할]?\s?(?:많이\s)?(?:드|들여|끼|겪으|초래)|\s사항|하게\s해\s?드)
불만
아쉽다 아쉬
아깝다 아깝 아까우 아까워
피곤하다
속이_터지다 속이?_터
진이_빠지다 진이_빠
열받다 열_받
절망하다 절망
캄캄하다 캄캄
angry
upset
frustrated frustrat
disappointed disappoint
worried worr(?:y|ied)
scared
annoyed annoy
unhappy
tired
hate
fed_up
"""
"""What one feels oneself: with the honorific 시 it is the listener's, spoken of out of courtesy."""

REPROACHES = r"""
나쁘다 나쁘 나빠
불친절하다
무례하다
무책임하다
무성의하다
무시하다 무시
엉망
최악
별로 별로예 별로네 별로에 별로입 별로였 별로다
너무하다 너무하 너무해 너무한
한심하다
괘씸하다
뻔뻔하다
거짓말
사기 사기예 사기죠 사기꾼 사기_아니 사기_당 사기를 사기치
속다 속았 속은_기분 속아서 속여
장난하다 장난하 장난해 장난치
억지
망치다 망치 망쳐
망신
먹통
퉁명스럽다 퉁명
거슬리다 거슬
더럽다 더러
지저분하다 지저분
시끄럽다 시끄러
느리다 느리 느려
비싸다 비싸 비쌌
심하다 심하 심해
헛걸음
낭비하다 낭비
낭패
함부로
소홀하다
방치하다 방치
재촉하다
독촉하다
떠넘기다 떠넘
실랑이
하소연
우롱하다
반말
바보
기분이_상하다 기분(?:이|을)?_상 마음(?:이|을)?_상
모르는_척
소리_지르다 소리를?_(?:지르|질)
악취
흠집
항의하다 항의
고소하다 고소할 고소하겠
소송 소송
민원을_넣다 민원을?_넣
terrible
awful
horrible
worst
rude
ridiculous
unacceptable
useless
cheated
waste
complaint file_a_complaint
bad bad\b
poor
"""
"""What one says of another, or of a thing."""

SET_PHRASES = r"""
말이_안_되다 말도_안_되 말도_안_돼 말이_안_되 말이_안_돼 말이_되나 말이_돼 말이_됩니까
말이_안_통하다 말이_안_통
어이없다 어이가?_없
기가_막히다 기가?_막 기가_차
이해가_안_되다 이해(?:가|를|도)?_안 이해(?:가|를|도)?_못
납득이_안_되다 납득(?:이|을)?_안 납득(?:이|을)?_못 납득할_수가?_없
도움이_되지_않다 도움은커녕
소용없다 소용(?:이|도)?_없
쓸모없다 쓸모가?_없
형편없다 형편_없
못_쓰다 못_쓰겠 못_살겠 못_참 참을_수가?_없
어떡하다 어떡하 어떡해
도대체
아직도
지금까지도
다시는
도저히
벌써_몇
나_몰라라
감감무소식
큰일 큰일
미치겠다 미치겠 미칠
죽겠다 죽겠
"""
"""Reproaches that no 안 or 없 after them turns round: 아직도 안 돼요."""
