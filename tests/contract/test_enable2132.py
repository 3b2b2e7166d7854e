"""What only the XML dialect has: its envelope, its answers, and its peer."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from plugin.activation.problem import Refusal
from plugin.activation.region import Envelope
from plugin.activation.saga import Accepted, Confirmation, Refused
from plugin.centre.enable2132 import Enable2132Centre
from plugin.centre.port import CentreAnswerError
from tests.centre import CentreProcess
from tests.contract.dialects import (
    ORIGIN,
    PATIENCE,
    C,
    D,
    Dialect,
    activation_id,
    sending,
)
from tests.contract.liar import Liar, http
from tests.unit.worlds import medical, social_security

NAME = activation_id("lin")
OURS = NAME.upper()[:30]
YES = Accepted(NAME, Confirmation(by="answer"))
NO = Refused(NAME, Refusal(code="-1", text="该卡已注销"), 1)


def envelope(**other: object) -> Envelope:
    """That of variant 4, but for this."""
    found = C.profile.envelope
    assert found is not None
    return replace(found, **other)


def composed(envelope: Envelope, **origin: object) -> ElementTree.Element:
    """A message for such a centre."""
    centre = Enable2132Centre(replace(C.profile, envelope=envelope))
    message = centre.compose(
        NAME, social_security(), medical(), replace(ORIGIN, **origin)
    )
    text = message.decode(envelope.encoding)
    return ElementTree.fromstring(re.sub(r"^<\?.*?\?>", "", text))  # noqa: S314 - ours


def test_the_elements_come_in_the_order_of_the_envelope() -> None:
    message = composed(envelope(), pos_ref="V1")

    assert message.tag == "DATA"
    assert [each.tag for each in message] == [
        *("AAE140", "AKB020", "AKC190", "AKC020", "AAC001", "MSGNO", "MSGID"),
        *("OPERID", "OPTTIME", "INPUT"),
    ]
    assert [each.tag for each in message[-1]] == [*envelope().input]
    assert [each.text for each in message[:-1]] == [
        *("310", "H1", "V1", social_security().issue.card_number, "0", "2132", OURS),
        *("kaqi", "20261122093005"),
    ]


def test_every_field_of_the_cards_can_be_asked_for() -> None:
    card, old = social_security(), medical()
    asked = {
        "A": "identification_code",
        "B": "card_number",
        "C": "social_security_number",
        "D": "name",
        "E": "issue_date",
        "F": "medical_number",
    }

    inside = composed(envelope(input=asked)).find("INPUT")

    assert inside is not None
    assert {each.tag: each.text for each in inside} == {
        "A": card.issue.identification_code,
        "B": card.issue.card_number,
        "C": card.social_security_number,
        "D": card.name,
        "E": "2026-01-15",
        "F": old.number,
    }


def test_what_differs_between_cities_is_the_profiles() -> None:
    other = envelope(
        root="Request", encoding="utf-8", insurance="", id_length=64, compact_time=False
    )

    message = composed(
        other, operator_ref="<&>", received_at="2026-11-22T01:30:05+00:00"
    )

    assert message.tag == "Request"
    assert message.findtext("AAE140") == ""
    assert message.findtext("MSGID") == NAME.upper()
    assert message.findtext("OPERID") == "<&>"
    assert message.findtext("OPTTIME") == "2026-11-22 01:30:05"


@given(st.text(), st.text(), st.text())
def test_whatever_a_card_says_is_a_document(name: str, number: str, visit: str) -> None:
    card = replace(social_security(), name=name)
    old = replace(medical(), number=number)
    centre = Enable2132Centre(C.profile)

    message = centre.compose(NAME, card, old, replace(ORIGIN, pos_ref=visit))

    found = ElementTree.fromstring(  # noqa: S314 - ours
        message.decode("gb18030").partition("?>")[2]
    )
    assert [each.tag for each in found[-1]] == [*envelope().input]
    assert min(message) >= 0x20


def answer(
    result: str = "0", words: str = "", ours: str = OURS, *, root: str = "DATA"
) -> str:
    return (
        f"<{root}><RETURNNUM>{result}</RETURNNUM><ERRORMSG>{words}</ERRORMSG>"
        f"<REFMSGID>{ours}</REFMSGID></{root}>"
    )


def activated(said: bytes, dialect: Dialect = C) -> Accepted | Refused:
    """What comes of an answer. Raises CentreAnswerError."""
    with Liar(http(said)) as liar:
        adapter = dialect.at(liar.address)
        try:
            return adapter.activate(sending(adapter))
        finally:
            adapter.close()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(answer(), YES, id="yes"),
        pytest.param(answer("-1", "该卡已注销"), NO, id="no"),
        pytest.param(answer(root="RESULT"), YES, id="another root"),
        pytest.param(f"\r\n {answer(' 0 ', ours=f' {OURS} ')} ", YES, id="spaces"),
        pytest.param(f"<!-- 0 -->{answer()}", YES, id="a remark"),
        pytest.param(
            answer("-1", "<![CDATA[该卡已注销]]>"), NO, id="characters as they are"
        ),
        pytest.param(
            f'<?xml version="1.0" encoding="UTF-8"?>{answer("-1", "该卡已注销")}',
            NO,
            id="it says another encoding than it has",
        ),
        pytest.param(answer("-1"), Refused(NAME, Refusal(code="-1"), 1), id="no words"),
    ],
)
def test_an_answer_is_understood(said: str, expected: object) -> None:
    assert activated(said.encode("gb18030")) == expected


def test_what_a_refusal_says_can_be_shown() -> None:
    found = activated(answer("-1", "该\n卡\u0085已\u202e注\u3000销").encode("gb18030"))

    assert isinstance(found, Refused)
    assert found.refusal.text == "该 卡 已 注 销"


TYPE = '<!DOCTYPE DATA [<!ENTITY e "0">]>'
OUTSIDE = '<!DOCTYPE DATA SYSTEM "http://127.0.0.1:1/">'
LAUGHS = "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "ha">'
    for n in range(9)
)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(ours="9" * 30), id="somebody else's"),
        pytest.param(answer(ours=OURS.lower()), id="in small letters"),
        pytest.param(answer(ours=OURS[:-1]), id="cut short"),
        pytest.param(answer(ours=NAME.upper()), id="not cut"),
        pytest.param(answer(ours=""), id="nobody's"),
        pytest.param(f"<DATA><REFMSGID>{OURS}</REFMSGID></DATA>", id="no result"),
        pytest.param("<DATA><RETURNNUM>0</RETURNNUM></DATA>", id="no reference"),
        pytest.param(answer("1"), id="an unknown result"),
        pytest.param(answer("00"), id="almost a yes"),
        pytest.param(answer(""), id="an empty result"),
        pytest.param(answer("0</RETURNNUM><RETURNNUM>-1"), id="yes and no"),
        pytest.param(answer("0<x/>"), id="more in it"),
        pytest.param(
            answer("-1", "该卡已启用</ERRORMSG><ERRORMSG>该卡已注销"), id="two reasons"
        ),
        pytest.param(answer("0", "</ERRORMSG><ERRORMSG>"), id="two empty reasons"),
        pytest.param(f"<A>{answer()}</A>", id="deeper"),
        pytest.param(answer() + answer(), id="twice"),
        pytest.param(answer()[:-3], id="unfinished"),
        pytest.param(TYPE + answer("&e;"), id="an entity"),
        pytest.param(TYPE + answer(), id="a document type"),
        pytest.param(OUTSIDE + answer(), id="a document type from outside"),
        pytest.param(f"<!DOCTYPE DATA [{LAUGHS}]>{answer('&l8;')}", id="laughs"),
        pytest.param(answer("&unknown;"), id="an unknown entity"),
        pytest.param(answer("0", "\x00"), id="a zero"),
        pytest.param("<a>" * 50_000, id="depth"),
        pytest.param(
            answer().replace("<DATA>", '<DATA xmlns="urn:x">'), id="another namespace"
        ),
    ],
)
def test_an_answer_that_is_none(said: str) -> None:
    with pytest.raises(CentreAnswerError) as none:
        activated(said.encode("gb18030"))

    assert OURS not in str(none.value)


def test_an_answer_in_another_encoding_is_none() -> None:
    with pytest.raises(CentreAnswerError, match="another encoding"):
        activated(answer("-1", "该卡已注销了").encode("utf-16"))


def test_half_a_character_is_none() -> None:
    with pytest.raises(CentreAnswerError):
        activated(
            answer("-1", "该").encode("gb18030").replace("该".encode("gbk"), b"\xb8")
        )


MEANINGS = {
    "luo": "card.lost",
    "jiang": "card.temporarily_lost",
    "duan": "card.cancelled",
    "wei": "card.not_handed_out",
    "yan": "card.suspended",
    "gu": "card.expired",
    "tong": "holder.under_age",
    "ji": "card.not_first_replacement",
    "pan": "card.medical_blocked",
}


@pytest.mark.parametrize("dialect", [C, D], ids=str)
@pytest.mark.parametrize("person", MEANINGS)
def test_what_a_refusal_means(
    centre: CentreProcess, dialect: Dialect, person: str
) -> None:
    adapter = dialect.at(centre.address)

    found = adapter.activate(sending(adapter, person))

    adapter.close()
    if person == "pan" and dialect is D:  # there the old card is not named
        assert isinstance(found, Accepted)
        return
    assert isinstance(found, Refused)
    assert found.refusal.code == "-1"
    assert dialect.profile.meaning(found.refusal) == MEANINGS[person]


def test_two_people_are_a_mismatch(centre: CentreProcess) -> None:
    adapter = C.at(centre.address)
    record = sending(adapter)
    mixed = adapter.compose(NAME, social_security(), medical("he"), ORIGIN)

    found = adapter.activate(replace(record, message=mixed))

    adapter.close()
    assert isinstance(found, Refused)
    assert C.profile.meaning(found.refusal) == "transaction.person_mismatch"


def test_a_card_nobody_knows(centre: CentreProcess) -> None:
    adapter = C.at(centre.address)
    card = social_security()
    code = "999901D15600000599999999FFFFFFFF"
    stranger = replace(card, issue=replace(card.issue, identification_code=code))
    message = adapter.compose(NAME, stranger, medical(), ORIGIN)

    found = adapter.activate(replace(sending(adapter), message=message))

    adapter.close()
    assert isinstance(found, Refused)
    assert C.profile.meaning(found.refusal) == "card.unknown_to_centre"


def test_a_city_may_speak_utf_8(centre: CentreProcess) -> None:
    profile = replace(
        C.profile, address=centre.address, envelope=envelope(encoding="utf-8")
    )
    adapter = Enable2132Centre(profile, patience=PATIENCE)

    refused = adapter.activate(sending(adapter, "luo"))

    adapter.close()
    assert isinstance(refused, Refused)
    assert refused.refusal.text == "该卡已挂失，不能启用"


def test_the_first_refusal_that_says_active_is_somebody_elses_success() -> None:
    words = answer("-1", "该卡已启用").encode("gb18030")

    found = activated(words, D)

    assert found == Accepted(NAME, Confirmation(by="refusal", adopted=True))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="JSON"),
        pytest.param(b"\xff\xfe\x00", id="no characters"),
        pytest.param(b"<DATA/>", id="empty"),
        pytest.param(b"<a>" * 15_000, id="depth"),
        pytest.param(b"<a>" + b"x" * 70_000 + b"</a>", id="too large"),
        pytest.param(TYPE.encode() + b"<DATA>&e;</DATA>", id="an entity"),
        pytest.param(b'<?xml version="1.0" encoding="EBCDIC"?><a/>', id="encoding"),
        pytest.param(
            '<?xml version="1.0" encoding="GB2312"?><a>㐀</a>'.encode("gb18030")[:-5],
            id="half a character",
        ),
        pytest.param(
            b"<a:b xmlns:a='q'><MSGNO>2132</MSGNO><MSGID>1</MSGID></a:b>",
            id="a namespace",
        ),
        pytest.param(
            b"<D><MSGNO>2132</MSGNO><MSGID>1</MSGID><AAZ501>?</AAZ501></D>",
            id="nobody's card",
        ),
        pytest.param(b"<D><MSGNO>1101</MSGNO><MSGID>1</MSGID></D>", id="another"),
    ],
)
def test_the_peer_refuses_what_is_no_message(
    centre: CentreProcess, body: bytes
) -> None:
    with httpx2.Client(base_url=centre.address, trust_env=False) as client:
        said = client.post("/sscard/enable", content=body)

    assert said.status_code == 200
    encoding = said.headers["content-type"].partition("charset=")[2]
    found = ElementTree.fromstring(  # noqa: S314 - the simulator's
        re.sub(r"^<\?.*?\?>", "", said.content.decode(encoding))
    )
    assert found.findtext("RETURNNUM") == "-1"
    assert found.findtext("ERRORMSG")
    assert centre.effects == []
