"""Cards that say what they like: a reading always ends, and nothing hidden is ever shown."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.conversation import MAX_COMMANDS, converse
from drivers.errors import DriverError
from plugin import main
from plugin.activation.saga import Origin
from plugin.agent import views
from plugin.agent.errands import Errands, PsamSlot, no_hsm
from plugin.agent.views import TransactionView
from plugin.api.receipts import Receipts
from plugin.api.rendering import Rendering
from plugin.card.errors import CardError, UnsupportedCardError
from plugin.card.medical import MedicalCard
from plugin.card.reading import Card, read_card
from plugin.card.social_security import SocialSecurityCard
from plugin.settings import Terminal
from simulator.card.engine import CardEngine
from simulator.card.psam import PsamEngine
from simulator.people import ORDERS, PEOPLE, card
from simulator.reader import PSAM_NAME, READER_NAMES, InProcessDesk
from simulator.scenario import Card as AnyCard
from simulator.scenario import ScriptedCard
from tests.fuzz.hostile import HostileCard, Parts
from tests.shown import hidden_in
from tests.terminal import Terminal as Around
from tests.transcript import play
from tests.unit.test_card_reading import answering
from tests.unit.worlds import PROFILE

NAME, OTHERS = 0x09, (0x02, 0x04, 0x07, 0x08, 0x0A, 0x0B, 0x0C, 0x4E)
LONGEST_READING = 25  # commands: a card of 3.0 with a long name
RENDERING = Rendering(
    main.catalogue(),
    main.prompts(),
    Receipts(main.texts("receipts"), "试用药店"),
    main.checks(),
)
ORIGIN = Origin(
    intent_id="i",
    client_id="c",
    scenario="pharmacy",
    institution="h",
    profile="p",
    test_data=True,
)
status_words = st.sampled_from(
    ["9000", "6282", "6A82", "6A83", "6A88", "6983", "63C1", "6C05", "6105", "61FF"]
).map(bytes.fromhex)
records = st.tuples(st.integers(1, 14), st.binary(max_size=60)).map(
    lambda record: bytes((record[0], len(record[1]))) + record[1]
)
answers = st.one_of(
    st.binary(max_size=40),
    st.tuples(records | st.binary(max_size=40), status_words).map(b"".join),
)
ODD = "张A|\a\u202e\u2066\u200b\u2028\u3164\u034f\ufe0f\U000e0100\ufdd0"
texts = st.one_of(
    st.text(ODD, min_size=1, max_size=7),
    st.text(st.characters(codec="gb18030"), min_size=1, max_size=7),
).map(lambda text: text.encode("gb18030"))


def read(hostile: AnyCard) -> Card | None:
    """A card in a reader of ours, with a PSAM beside it; None for an error with a name."""
    desk = InProcessDesk()
    desk.insert_card(hostile, READER_NAMES[0])
    psam = PsamSlot(lambda: desk.reader(PSAM_NAME))
    try:
        connection = desk.reader(READER_NAMES[0]).connect()
        with Errands(psam, no_hsm) as errands:
            procedure = read_card(PROFILE.cards, connection.atr)
            return converse(
                connection, procedure, partial(errands.run, card=connection)
            )
    except (CardError, DriverError):
        return None


@given(
    st.sampled_from(sorted(ORDERS)),
    st.dictionaries(st.integers(1, LONGEST_READING), answers, max_size=4),
    st.none() | st.integers(1, LONGEST_READING),
)
def test_whatever_a_card_answers_its_reading_ends_in_a_card_or_a_named_error(
    name: str, replies: dict[int, bytes], pulled: int | None
) -> None:
    hostile = ScriptedCard(card(name), replies=replies, pull_at=pulled)

    found = read(hostile)

    assert found is None or isinstance(found, SocialSecurityCard | MedicalCard)
    assert hostile.commands <= LONGEST_READING * MAX_COMMANDS
    assert hidden_in(found) == []


@given(st.binary(max_size=40))
def test_whatever_answers_to_reset_its_reading_ends_the_same_way(atr: bytes) -> None:
    gone = HostileCard(Parts(b""), atr)

    with pytest.raises((CardError, DriverError)):
        converse(gone, read_card(PROFILE.cards, atr))

    assert gone.sent <= 1


def test_an_answer_to_reset_that_is_none_is_an_unknown_card() -> None:
    with pytest.raises(UnsupportedCardError):
        next(read_card(PROFILE.cards, b"\x00\x01"))


def test_a_card_of_3_0_without_an_answer_to_reset_cannot_be_authenticated() -> None:
    engine = CardEngine(PEOPLE["qin"].social_security.image())
    around = Around(engine, PsamEngine())

    with pytest.raises(CardError, match="diversification"):
        play(read_card(PROFILE.cards), answering(engine), around.run)


@given(
    st.sampled_from(["lin", "he", "qin"]),
    st.fixed_dictionaries(
        {NAME: texts},
        optional=dict.fromkeys(OTHERS, texts | st.binary(max_size=30)),
    ),
    st.binary(max_size=15),
)
def test_whatever_text_a_card_holds_nothing_hidden_is_shown(
    person: str, overrides: dict[int, bytes], historical_bytes: bytes
) -> None:
    order = replace(PEOPLE[person].social_security, overrides=overrides)
    found = read(CardEngine(order.image()))
    if not isinstance(found, SocialSecurityCard):
        return

    atr = bytes((0x3B, len(historical_bytes))) + historical_bytes
    result = RENDERING.transaction(
        TransactionView(
            origin=ORIGIN,
            kind="activation",
            seq=1,
            state="succeeded",
            detail="activated",
            outcome="activated",
            holder=views.clear_holder(found, atr, Terminal()),
            masked=views.masked_holder(found),
            card=views.card_view(found),
        )
    ).result

    assert result is not None
    assert result.receipt is not None
    receipt = result.receipt.text
    lines = [*receipt.chinese.split("\n"), *receipt.english.split("\n")]
    assert hidden_in((result.holder, result.holder_masked, result.card, lines)) == []
