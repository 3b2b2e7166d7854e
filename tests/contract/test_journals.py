"""What every journal must do; and what only the one on disk must withstand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import apsw
import pytest
from msgspec.msgpack import decode as unpacked
from msgspec.msgpack import encode as packed
from msgspec.structs import asdict, replace

from plugin.activation.expiry import without_person
from plugin.activation.problem import Problem, Refusal
from plugin.activation.saga import (
    Activation,
    ActivationState,
    Confirmation,
    Origin,
    transaction_of,
)
from plugin.journal import entries
from plugin.journal.layout import age_of, is_sound
from plugin.journal.memory import MemoryJournal
from plugin.journal.port import (
    AGE,
    TORN_MAX,
    CardInHandError,
    Journal,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
    Judge,
    Request,
    Reviewed,
    StaleRecordError,
    Torn,
)
from plugin.journal.sqlite import (
    AT_ONCE,
    PAGES_AT_ONCE,
    ROWS_AT_ONCE,
    SqliteJournal,
)
from plugin.privacy import Keys

KEYS = Keys(bytes(range(32)))
PERSONAL = "林试一 999901190102021017"


def intent(number: int) -> str:
    """An id as the agent makes them: the time in front."""
    return str(UUID(int=number << 64))


def activation(number: int) -> Activation:
    origin = Origin(
        intent_id=intent(number),
        client_id="pos",
        scenario="pharmacy",
        institution="H1",
        profile="reference@1",
        pos_ref=f"sale-{number}",
        trace_id="trace",
        received_at="2026-11-22T09:00:00+08:00",
    )
    return Activation(origin=origin)


def request(number: int) -> Request:
    return Request(
        client_id="pos",
        key=f"key-{number}",
        fingerprint="f" * 64,
        transaction_id=f"transaction-{number}",
    )


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    opened: Journal = (
        MemoryJournal()
        if request.param == "memory"
        else SqliteJournal(tmp_path / "journal.db", KEYS)
    )
    yield opened
    opened.close()


def sent(number: int, card_ref: str = "card") -> Activation:
    return replace(
        activation(number),
        state=ActivationState.SENDING,
        card_ref=card_ref,
        activation_id="a" * 64,
        attempt=1,
        message=PERSONAL.encode(),
        began=7,
        sends=1,
    )


def test_a_record_and_its_request_are_found_again(journal: Journal) -> None:
    journal.create(activation(1), request(1))

    assert journal.get(intent(1)) == activation(1)
    assert journal.request("pos", "key-1") == request(1)


def test_what_was_never_written_is_not_found(journal: Journal) -> None:
    assert journal.get(intent(1)) is None
    assert journal.request("pos", "key-1") is None
    assert journal.of_card("card") == ()


def test_every_field_survives(journal: Journal) -> None:
    full = replace(
        sent(1),
        state=ActivationState.ABANDONED,
        tries=3,
        unanswered=9,
        refusal=Refusal(code="9", text="不"),
        confirmation=Confirmation(
            by="status",
            adopted=True,
            since="2026-03-02",
            channel="bank",
            receipt_no="R1",
        ),
        ended_as="failed",
        problem=Problem("card.lost", {"days": "180"}, Refusal(code="2", text="挂失")),
        superseded_by=intent(0),
        changed_at="2026-11-22T09:00:01+08:00",
    )
    journal.create(activation(1), request(1))

    saved = journal.save(full)

    assert saved == replace(full, version=1)
    assert journal.get(intent(1)) == saved


def test_a_stale_record_is_not_saved(journal: Journal) -> None:
    journal.create(activation(1), request(1))
    journal.save(activation(1))

    with pytest.raises(StaleRecordError):
        journal.save(sent(1))

    found = journal.get(intent(1))
    assert found is not None
    assert found.state is ActivationState.RECEIVED


def test_a_finished_record_is_amended_by_who_has_read_it(journal: Journal) -> None:
    journal.create(replace(activation(1), unseen=True), request(1))
    with pytest.raises(StaleRecordError):
        journal.amend(activation(1))  # it has not ended
    ended = journal.save(replace(sent(1), state=ActivationState.ACTIVE, unseen=True))

    amended = journal.amend(replace(ended, unseen=False))

    assert amended == replace(ended, unseen=False, version=ended.version + 1)
    assert journal.get(intent(1)) == amended
    assert journal.of_card("card") == journal.recent(9) == (amended,)
    assert journal.unfinished() == ()
    with pytest.raises(StaleRecordError):
        journal.amend(ended)


def test_one_card_is_unfinished_in_one_record_only(journal: Journal) -> None:
    for number in (1, 2, 3):
        journal.create(activation(number), request(number))
    first = journal.save(sent(1))

    with pytest.raises(CardInHandError):
        journal.save(sent(2))
    journal.save(sent(3, "another card"))
    journal.save(replace(first, state=ActivationState.REJECTED))
    journal.save(sent(2))

    assert [each.origin.intent_id for each in journal.of_card("card")] == [
        intent(1),
        intent(2),
    ]


def test_unfinished_records_come_oldest_first_and_recent_ones_newest_first(
    journal: Journal,
) -> None:
    for number in (1, 2, 3):
        journal.create(activation(number), request(number))
    journal.save(replace(activation(2), state=ActivationState.ABANDONED))

    unfinished = [each.origin.intent_id for each in journal.unfinished()]
    recent = [each.origin.intent_id for each in journal.recent(2)]

    assert unfinished == [intent(1), intent(3)]
    assert recent == [intent(3), intent(2)]


def test_the_records_before_another_are_those_that_are_older(journal: Journal) -> None:
    for number in range(1, 6):
        journal.create(activation(number), request(number))
    journal.save(replace(activation(2), state=ActivationState.ABANDONED))

    found = [each.origin.intent_id for each in journal.recent(2, intent(4))]
    rest = [each.origin.intent_id for each in journal.recent(9, found[-1])]

    assert found == [intent(3), intent(2)]
    assert rest == [intent(1)]
    assert journal.recent(9, intent(1)) == ()


def test_a_request_that_created_nothing_is_remembered(journal: Journal) -> None:
    journal.remember(request(7))

    assert journal.request("pos", "key-7") == request(7)
    assert journal.request("another", "key-7") is None


def test_reserved_numbers_belong_to_nobody_else(journal: Journal) -> None:
    assert journal.reserve("events", 10) == 1
    assert journal.reserve("events", 10) == 11
    assert journal.reserve("others", 1) == 1
    assert journal.reserve("others", 0) == 2
    assert journal.reserve("others", 1) == 2


def torn(card_ref: str, time: str = "2026-11-22T09:00:00+08:00") -> Torn:
    return Torn(card_ref=card_ref, step="changing", time=time, life="life-1")


def test_a_torn_change_is_noted_until_it_is_mended(journal: Journal) -> None:
    journal.tear(torn("card"))

    assert journal.torn("card") == torn("card")
    assert journal.torn("another") is None

    journal.mend("card")
    journal.mend("another")

    assert journal.torn("card") is None


def test_a_card_that_is_torn_again_is_noted_once_and_anew(journal: Journal) -> None:
    journal.tear(torn("card"))
    journal.tear(torn("card", "later"))

    assert journal.torn("card") == torn("card", "later")


def test_of_too_many_torn_cards_the_oldest_are_forgotten(journal: Journal) -> None:
    for number in range(TORN_MAX):
        journal.tear(torn(f"card-{number}"))
    journal.tear(torn("card-0", "again"))
    journal.tear(torn("one more"))

    assert journal.torn("card-0") == torn("card-0", "again")
    assert journal.torn("card-1") is None
    assert journal.torn("card-2") == torn("card-2")
    assert journal.torn("one more") == torn("one more")


# The review of what is over


def over(journal: Journal, number: int, **more: object) -> Activation:
    """A record that was sent and has ended, in the journal."""
    journal.create(activation(number), ours(number))
    sending = journal.save(sent(number, f"card-{number}"))
    return journal.save(
        replace(sending, state=ActivationState.REJECTED, refusal=REFUSAL, **more)
    )


def ours(number: int) -> Request:
    """The request that began it."""
    return replace(request(number), transaction_id=transaction_of(intent(number)))


def through(journal: Journal, judge: Judge) -> dict[str, int]:
    """A whole review, and what it did in all."""
    steps = [asdict(step) for step in journal.review(judge)]
    names = Reviewed.__struct_fields__
    return {name: sum(step[name] for step in steps) for name in names}


def forgetting(record: Activation) -> Activation:
    return without_person(record, lambda words: replace(words, text=""))


REFUSAL = Refusal(code="9", text="不认识林试一")
NOTHING = {"replaced": 0, "forgotten": 0, "removed": 0, "requests": 0}


def test_what_has_ended_knows_how_old_the_journal_was(journal: Journal) -> None:
    journal.reserve(AGE, 1_000)
    first = over(journal, 1)
    journal.reserve(AGE, 500)
    second = over(journal, 2)

    assert (first.ended, second.ended) == (1_000, 1_500)
    found = journal.get(intent(2))
    assert found is not None
    assert found.ended == 1_500


def test_every_finished_record_is_judged_once_and_no_unfinished_one(
    journal: Journal,
) -> None:
    for number in range(100):
        over(journal, number)
    for number, state in enumerate(ActivationState, start=100):
        journal.create(activation(number), ours(number))
        if not state.is_terminal:
            journal.save(replace(sent(number, f"card-{number}"), state=state))
    seen: list[str] = []

    def judge(record: Activation) -> None:
        seen.append(record.origin.intent_id)

    done = through(journal, judge)

    assert sorted(seen) == sorted(map(intent, range(100)))
    assert done == NOTHING | {"removed": 100, "requests": 100}
    assert len(journal.unfinished()) == len(ActivationState)
    assert [journal.get(intent(number)) for number in range(100)] == [None] * 100
    assert journal.request("pos", "key-1") is None
    assert journal.request("pos", "key-103") == ours(103)


def test_what_is_forgotten_keeps_its_outcome_and_its_request(journal: Journal) -> None:
    before = over(journal, 1, problem=Problem("card.lost", {}, REFUSAL))

    done = through(journal, forgetting)
    again = through(journal, forgetting)

    found = journal.get(intent(1))
    assert done == NOTHING | {"replaced": 1, "forgotten": 1}
    assert again == NOTHING
    assert found == replace(
        before,
        message=None,
        refusal=Refusal(code="9"),
        problem=Problem("card.lost", {}, Refusal(code="9")),
        forgotten=True,
    )
    assert journal.request("pos", "key-1") == ours(1)
    assert journal.of_card("card-1") == (found,)


def test_what_is_left_as_it_is_is_not_written(journal: Journal) -> None:
    before = over(journal, 1)

    assert through(journal, lambda record: record) == NOTHING
    assert journal.get(intent(1)) == before


def test_requests_without_a_record_go_when_a_later_record_has(journal: Journal) -> None:
    journal.remember(ours(1))  # its record was lost by damage: the key is known still
    over(journal, 2)
    journal.remember(replace(ours(2), key="another"))
    over(journal, 3)

    assert through(journal, lambda record: record) == NOTHING
    assert journal.request("pos", "key-1") is not None
    assert journal.request("pos", "another") is not None
    third = intent(3)
    done = through(journal, lambda e: e if e.origin.intent_id == third else None)

    assert done == NOTHING | {"removed": 1, "requests": 3}
    assert journal.request("pos", "key-1") is None
    assert journal.request("pos", "another") is None
    assert journal.request("pos", "key-3") is not None


def test_what_was_removed_for_its_age_is_told_from_what_never_was(
    journal: Journal,
) -> None:
    for number in (1, 2):
        over(journal, number)
    before = [journal.is_removed(intent(number)) for number in (1, 2, 3)]

    through(journal, lambda record: None if _first(record) else record)

    after = [journal.is_removed(intent(number)) for number in (1, 2, 3)]
    assert before == [False, False, False]
    assert after == [True, False, False]


def test_a_till_works_on_between_the_steps(journal: Journal) -> None:
    for number in range(80):
        over(journal, number)
    steps = journal.review(forgetting)
    next(steps)

    later = over(journal, 500)
    journal.create(activation(501), ours(501))
    rest = sum(step.forgotten for step in steps)

    assert rest >= 80 - ROWS_AT_ONCE
    assert journal.get(intent(500)) in (later, forgetting(later))
    assert journal.get(intent(501)) == activation(501)


# On disk


def test_what_is_forgotten_is_in_no_file_any_more(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    large = "林".encode() * 3_000  # on pages of its own
    for number in (1, 2, 3):
        journal.create(activation(number), ours(number))
        sending = replace(sent(number, f"card-{number}"), message=large)
        journal.save(replace(journal.save(sending), state=ActivationState.ACTIVE))
    sealed = _sealed(journal)
    assert len(sealed) == 3
    assert all(_parts(each) <= _found(tmp_path, each) for each in sealed)

    through(journal, lambda record: forgetting(record) if _first(record) else None)

    assert [_found(tmp_path, each) for each in sealed] == [set()] * 3
    assert journal.get(intent(1)) is not None
    assert journal.get(intent(2)) is None
    journal.close()


def _first(record: Activation) -> bool:
    return record.origin.intent_id == intent(1)


def _sealed(journal: SqliteJournal) -> list[bytes]:
    rows = journal._connection.execute("SELECT sealed FROM finished").fetchall()
    return [each for (each,) in rows if isinstance(each, bytes)]


def _parts(sealed: bytes) -> set[bytes]:
    """Pieces of it that lie on one page, wherever the page ends."""
    return {sealed[at : at + 32] for at in range(0, len(sealed) - 32, 512)}


def _found(folder: Path, sealed: bytes) -> set[bytes]:
    raw = b"".join(file.read_bytes() for file in folder.iterdir())
    return {part for part in _parts(sealed) if part in raw}


def test_a_review_and_a_copy_do_not_disturb_each_other(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    for number in range(300):
        over(journal, number, message=bytes(4_000))
    copying = journal.copy(tmp_path / "copy.db")
    next(copying)
    steps = journal.review(forgetting)
    next(steps)

    list(copying)
    left = sum(step.forgotten for step in steps)

    assert left == 300 - ROWS_AT_ONCE
    assert is_sound(tmp_path / "copy.db", KEYS)
    journal.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE finished SET version = 9",
        "UPDATE finished SET sealed = x'00'",
        "UPDATE finished SET number = number + 7",
        "INSERT INTO finished SELECT * FROM unfinished",
        "UPDATE requests SET transaction_id = 't-' || hex(zeroblob(16))",
    ],
)
def test_what_was_changed_outside_is_neither_signed_anew_nor_removed(
    tmp_path: Path, change: str
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    over(journal, 1)
    journal.create(activation(2), ours(2))
    journal._connection.execute(change)
    before = _rows(journal)

    with pytest.raises(JournalDamagedError):
        through(journal, lambda record: None if "requests" not in change else record)

    assert _rows(journal) == before
    journal.close()


def _rows(journal: SqliteJournal) -> list[object]:
    tables = ("finished", "unfinished", "requests")
    execute = journal._connection.execute
    return [execute(f"SELECT * FROM {table}").fetchall() for table in tables]  # noqa: S608 - constants


def test_a_record_of_an_earlier_version_ages_from_the_upgrade(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    full = over(journal, 1)
    row = entries.encode(full)
    fields = unpacked(row.clear)[: -len(("ended", "ended_day", "forgotten"))]

    found = entries.decode(replace(row, clear=packed(fields)))

    assert found == full
    assert (found.ended, found.ended_day, found.forgotten) == (0, 0, False)
    journal.close()


def test_a_copy_tells_how_old_the_journal_was(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    list(journal.copy(tmp_path / "new.db"))
    journal.reserve(AGE, 77)
    list(journal.copy(tmp_path / "copy.db"))
    journal.close()
    (tmp_path / "none.db").write_bytes(bytes(5_000))

    assert age_of(tmp_path / "new.db", KEYS) == 0
    assert age_of(tmp_path / "copy.db", KEYS) == 77
    assert age_of(tmp_path / "copy.db", Keys.new()) is None
    assert age_of(tmp_path / "none.db", KEYS) is None
    assert age_of(tmp_path / "nothing.db", KEYS) is None


def test_what_was_committed_is_there_after_closing(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path / "journal.db", KEYS)
    first.create(activation(1), request(1))
    saved = first.save(sent(1))
    first.close()

    second = SqliteJournal(tmp_path / "journal.db", KEYS)

    assert second.get(intent(1)) == saved
    assert second.reserve("events", 1) == 1
    second.close()


def test_a_long_log_that_was_left_is_taken_on(tmp_path: Path) -> None:
    left = SqliteJournal(tmp_path / "journal.db", KEYS)
    for number in range(400):
        left.reserve(f"counter-{number}", 1)
    for file in tmp_path.glob("journal.db*"):  # as a killed agent leaves them
        (tmp_path / f"left-{file.name}").write_bytes(file.read_bytes())
    log = tmp_path / "left-journal.db-wal"
    assert log.stat().st_size > 4 * AT_ONCE
    left.close()

    found = SqliteJournal(tmp_path / "left-journal.db", KEYS)

    assert found.reserve("counter-7", 1) == 2
    found.close()


def test_the_file_holds_nothing_personal(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), replace(request(1), key="999901190102021017"))
    journal.save(sent(1))

    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    journal.close()

    assert b"sale-1" in raw
    for personal in ("林试一", "999901190102021017"):
        assert personal.encode() not in raw


def test_a_second_agent_cannot_have_it(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    open_it = (
        "import sys; from pathlib import Path; from plugin.journal.sqlite import *;"
        "from plugin.journal.port import JournalInUseError\n"
        "try: SqliteJournal(Path(sys.argv[1]), Keys(bytes(range(32))))\n"
        "except JournalInUseError: print('in use')"
    )

    other = subprocess.run(
        [sys.executable, "-c", open_it, str(tmp_path / "journal.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    with pytest.raises(JournalInUseError):
        SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.close()

    assert other.stdout == "in use\n"


@pytest.mark.parametrize(
    "column",
    ["state", "version", "card_ref", "clear", "sealed", "mac", "intent_id"],
)
def test_a_row_changed_outside_is_noticed(tmp_path: Path, column: str) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    journal.save(sent(1))
    journal.close()
    raw = apsw.Connection(str(tmp_path / "journal.db"))
    kinds = {"state": "'UNKNOWN'", "version": "9", "card_ref": "'x'"}
    kinds |= {"clear": "x'7b7d'", "sealed": "x'00'", "mac": "x'00'"}
    value = kinds.get(column, "'x'")
    raw.execute(f"UPDATE unfinished SET {column} = {value}")  # noqa: S608
    raw.close()

    with pytest.raises(JournalDamagedError):
        SqliteJournal(tmp_path / "journal.db", KEYS)


def test_a_request_changed_outside_is_noticed(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.remember(request(1))
    journal.close()
    raw = apsw.Connection(str(tmp_path / "journal.db"))
    raw.execute("UPDATE requests SET transaction_id = 'another'")
    raw.close()

    with pytest.raises(JournalDamagedError):
        SqliteJournal(tmp_path / "journal.db", KEYS)


@pytest.mark.parametrize("column", ["step", "time", "life", "card_ref"])
def test_a_torn_change_changed_outside_is_noticed(tmp_path: Path, column: str) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.tear(torn("card"))
    journal.close()
    raw = apsw.Connection(str(tmp_path / "journal.db"))
    raw.execute(f"UPDATE torn SET {column} = 'x'")  # noqa: S608
    raw.close()

    with pytest.raises(JournalDamagedError):
        SqliteJournal(tmp_path / "journal.db", KEYS)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE unfinished SET version = 9",
        "UPDATE unfinished SET state = 'UNKNOWN'",
        "UPDATE requests SET transaction_id = 'another'",
        "UPDATE torn SET step = 'x'",
        "UPDATE counters SET last = 3",
    ],
)
def test_a_row_changed_while_the_journal_is_open_is_noticed(
    tmp_path: Path, change: str
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    journal.tear(torn("card"))
    journal.reserve("events", 7)
    journal._connection.execute(change)

    with pytest.raises(JournalDamagedError):
        (
            journal.recent(1),
            journal.request("pos", "key-1"),
            journal.torn("card"),
            journal.reserve("events", 1),
        )
    journal.close()


def test_a_text_that_is_none_any_more_is_damage(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    journal._connection.execute("UPDATE unfinished SET state = CAST(x'b0' AS TEXT)")

    with pytest.raises(JournalDamagedError):
        journal.get(intent(1))
    journal.close()


def test_a_journal_of_an_earlier_version_is_taken_on_with_all_it_holds(
    tmp_path: Path,
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    journal.close()
    raw = apsw.Connection(str(tmp_path / "journal.db"))
    raw.execute(
        "DROP TABLE torn; ALTER TABLE counters DROP COLUMN mac;PRAGMA user_version = 1"
    )
    raw.close()

    for _ in range(2):
        again = SqliteJournal(tmp_path / "journal.db", KEYS)
        again.tear(torn("card"))
        assert again.get(intent(1)) == activation(1)
        assert again.torn("card") == torn("card")
        again.close()


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    journal.close()

    with pytest.raises(JournalDamagedError):
        SqliteJournal(tmp_path / "journal.db", Keys.new())


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(
        b"not a database at all, but long enough" * 40
    )

    with pytest.raises(JournalDamagedError):
        SqliteJournal(tmp_path / "journal.db", KEYS)


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "journal.db", KEYS).close()
    raw = apsw.Connection(str(tmp_path / "journal.db"))
    raw.execute("PRAGMA user_version = 99")
    raw.close()

    with pytest.raises(JournalError, match="version 99"):
        SqliteJournal(tmp_path / "journal.db", KEYS)


def test_the_settings_that_make_it_durable_are_in_force(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)

    found = {
        name: journal._connection.pragma(name)
        for name in ("journal_mode", "synchronous", "locking_mode", "trusted_schema")
    }
    journal.close()

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "locking_mode": "exclusive",
        "trusted_schema": 0,
    }


def copied(journal: SqliteJournal, path: Path) -> int:
    """How many steps it took."""
    return sum(1 for _ in journal.copy(path))


def test_a_copy_is_the_journal_in_small_steps(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(replace(sent(1), message=bytes(4 * PAGES_AT_ONCE << 12)), request(1))
    journal.reserve("receipts", 7)

    steps = copied(journal, tmp_path / "copy.db")
    journal.close()

    assert steps > 3
    assert is_sound(tmp_path / "copy.db", KEYS)
    copy = SqliteJournal(tmp_path / "copy.db", KEYS)
    assert copy.request("pos", "key-1") == request(1)
    assert copy.reserve("receipts", 1) == 8
    assert [each.origin.intent_id for each in copy.unfinished()] == [intent(1)]
    copy.close()


def test_a_copy_that_cannot_be_written_is_an_error_of_the_journal(
    tmp_path: Path,
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)

    with pytest.raises(JournalError):
        copied(journal, tmp_path / "no folder" / "copy.db")
    journal.close()


def test_a_copy_is_sound_when_it_is_whole_and_of_this_version(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    whole, other, torn_off = (tmp_path / f"{name}.db" for name in "abc")
    for path in (whole, other, torn_off):
        copied(journal, path)
    journal.close()
    raw = apsw.Connection(str(other))
    raw.execute("PRAGMA user_version = 1")
    raw.close()
    torn_off.write_bytes(torn_off.read_bytes()[:-4096] + bytes(4096))

    assert is_sound(whole, KEYS)
    assert not is_sound(other, KEYS)
    assert not is_sound(torn_off, KEYS)
    assert not is_sound(tmp_path / "nothing.db", KEYS)
    assert not (tmp_path / "nothing.db").exists()


def test_counters_of_an_earlier_version_are_signed_once_and_count_on(
    tmp_path: Path,
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.reserve("receipts", 7)
    journal.close()
    raw = apsw.Connection(str(tmp_path / "journal.db"))
    raw.execute("ALTER TABLE counters DROP COLUMN mac; PRAGMA user_version = 2")
    raw.close()

    again = SqliteJournal(tmp_path / "journal.db", KEYS)
    reserved = again.reserve("receipts", 1)
    again.close()

    assert reserved == 8
    SqliteJournal(tmp_path / "journal.db", KEYS).close()


def test_what_is_personal_is_sealed_anew_when_it_changes(journal: Journal) -> None:
    journal.create(activation(1), request(1))
    first = journal.save(sent(1))
    second = journal.save(replace(first, message=b"another"))

    found = journal.get(intent(1))

    assert found == second
    assert found.message == b"another"


def test_a_row_moved_to_another_number_is_noticed(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    journal.close()
    raw = apsw.Connection(str(tmp_path / "journal.db"))
    raw.execute("UPDATE unfinished SET number = number + 1")
    raw.close()

    with pytest.raises(JournalDamagedError, match="moved"):
        SqliteJournal(tmp_path / "journal.db", KEYS)


def test_after_the_disk_has_refused_the_file_is_opened_anew(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    before = journal._connection
    journal._connection.execute("PRAGMA query_only = ON")

    with pytest.raises(JournalError):
        journal.create(activation(2), request(2))
    journal.create(activation(3), request(3))
    after = journal._connection
    found = [each.origin.intent_id for each in journal.unfinished()]
    journal.close()

    assert found == [intent(1), intent(3)]
    assert after is not before
    assert after is journal._connection


def test_what_a_client_wrote_into_a_key_is_found_by_its_keyed_hash(
    tmp_path: Path,
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.remember(request(1))

    [(digest,)] = journal._connection.execute("SELECT key_digest FROM requests")
    journal.close()

    assert digest == bytes.fromhex(KEYS.digest("request", "key-1"))


def test_what_the_disk_says_is_in_the_error(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal._connection.execute("PRAGMA query_only = ON")

    with pytest.raises(JournalError, match="readonly"):
        journal.create(activation(1), request(1))
    journal.close()


def test_an_index_that_has_lost_a_row_is_damage(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", KEYS)
    journal.create(activation(1), request(1))
    journal.tear(torn("card"))
    [(page,)] = journal._connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'torn'"
    ).fetchall()
    journal.close()
    raw = bytearray((tmp_path / "journal.db").read_bytes())
    at = (int(str(page)) - 1) * 4096
    raw[at : at + 4096] = b"\x0a" + bytes(4) + b"\x10\x00" + bytes(4089)
    (tmp_path / "journal.db").write_bytes(raw)

    with pytest.raises(JournalDamagedError, match="the file is damaged"):
        SqliteJournal(tmp_path / "journal.db", KEYS)
