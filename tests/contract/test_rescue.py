"""The place of the journal: who may have it, when it is safe mode, and how another takes it."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plugin.activation.saga import Activation, Origin
from plugin.agent.backups import NEWEST
from plugin.agent.intents import IntentIds
from plugin.journal.layout import number_of
from plugin.journal.place import BENCH, JOURNAL, Lock, Place
from plugin.journal.port import JournalError, JournalInUseError, Request, Torn
from plugin.journal.rescue import (
    PAGE,
    Condition,
    Proposal,
    Rescue,
    copied,
    in_pages,
)
from plugin.journal.safe import SafeJournal, SafeModeError
from plugin.journal.sqlite import SqliteJournal
from tests.damaged import (
    ALL,
    FINISHED,
    MINUTE,
    NINE_O_CLOCK,
    UNFINISHED,
    Till,
    began,
    with_place,
)

ORIGIN = Origin(
    intent_id="i", client_id="c", scenario="pharmacy", institution="h", profile="p"
)
ASKED = Request(client_id="c", key="k", fingerprint="", transaction_id="t")
TORN = Torn(card_ref="x", step="changing", time="", life="")


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a lock that will not be free."""
    monkeypatch.setattr("plugin.journal.place.PATIENCE_MS", 0)


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path / "till")


def rescue(till: Till) -> Rescue:
    return Rescue(till.folder.path, till.keys, [till.folder.path / NEWEST])


def proposed(till: Till) -> Proposal:
    with closing(rescue(till)) as at_work:
        proposal = at_work.proposal(0, lambda _: None)
    assert proposal is not None
    return proposal


def restored(till: Till) -> Proposal:
    with closing(rescue(till)) as at_work:
        proposal = at_work.proposal(0, lambda _: None)
        assert proposal is not None
        at_work.carry_out(proposal.plan, "now")
    return proposal


def test_one_row_that_cannot_be_read_costs_that_row(till: Till) -> None:
    lost = till.ids[-2]
    till.hurt(lost)
    assert till.states() is None

    plan = restored(till).plan

    assert plan.lost == (number_of(lost),)
    found = till.states()
    assert found is not None
    assert len(found) == ALL - 1
    assert set(till.ids) - found.keys() == {lost}
    assert list(found.values()).count("ACTIVE") == FINISHED


@pytest.mark.parametrize(
    ("at", "state"), [(3, "ACTIVE"), (-2, "MANUAL")], ids=["ended", "unfinished"]
)
def test_from_the_copy_it_comes_back_as_safe_as_it_can_be(
    till: Till, at: int, state: str
) -> None:
    till.copy()
    till.hurt(till.ids[at])

    plan = restored(till).plan

    assert plan.lost == ()
    assert plan.from_copies == 1
    found = till.states()
    assert found is not None
    assert len(found) == ALL
    assert found[till.ids[at]] == state


def test_rows_that_a_page_no_longer_counts_are_missed(till: Till) -> None:
    """SQLite reads such a page without a complaint."""
    content = bytearray(till.path.read_bytes())
    page = content.rindex(till.ids[FINISHED - 1].encode()) // PAGE * PAGE
    assert content[page] == 13  # a leaf
    rows = int.from_bytes(content[page + 3 : page + 5], "big")
    content[page + 3 : page + 5] = (rows - 2).to_bytes(2, "big")
    till.path.write_bytes(content)

    plan = restored(till).plan

    assert plan.lost == (*map(number_of, till.ids[FINISHED - 2 : FINISHED]),)
    assert len(till.states() or {}) == ALL - 2


@pytest.mark.parametrize("hurt", [True, False], ids=["damaged", "sound"])
def test_a_large_journal_is_read_to_its_end(
    till: Till, monkeypatch: pytest.MonkeyPatch, hurt: bool
) -> None:
    """An agent starts with one, not having looked at what has ended."""
    for room in ("layout", "rescue"):
        monkeypatch.setattr(f"plugin.journal.{room}.CHECKED_WHOLE", 0)
    if hurt:
        till.hurt(till.ids[3])

    with closing(rescue(till)) as at_work:
        condition = at_work.condition()
        proposal = at_work.proposal(0, lambda _: None)

    assert condition is Condition.SOUND
    lost = proposal.plan.lost if proposal else None
    assert lost == ((number_of(till.ids[3]),) if hurt else None)


def test_of_a_copy_that_is_damaged_itself_every_sound_row_is_taken(till: Till) -> None:
    till.copy()
    whole = till.path.read_bytes()
    till.hurt(till.ids[3])
    (till.folder.path / NEWEST).write_bytes(till.path.read_bytes())
    till.path.write_bytes(whole)
    till.hurt(till.ids[7])

    plan = proposed(till).plan

    assert plan.lost == ()
    assert len(plan.rows) + len(plan.doubtful) == ALL
    assert plan.from_copies == 1


def test_a_damaged_journal_that_is_older_too_is_not_believed(till: Till) -> None:
    till.hurt(till.ids[3])
    (till.folder.path / "journal.epoch").write_text("999999\n", encoding="ascii")

    proposal = proposed(till)

    assert proposal.condition is Condition.DAMAGED
    assert proposal.is_older
    assert len(proposal.plan.doubtful) == UNFINISHED


@pytest.mark.parametrize("content", [b"", b"no database at all", bytes(50_000)])
def test_of_a_file_that_is_gone_everything_is_in_the_copy(
    till: Till, content: bytes
) -> None:
    till.copy()
    till.path.write_bytes(content)
    assert till.states() is None

    restored(till)

    found = till.states()
    assert found is not None
    assert list(found.values()).count("ACTIVE") == FINISHED
    assert list(found.values()).count("MANUAL") == ALL - FINISHED


def test_a_journal_that_was_deleted_is_missed(till: Till) -> None:
    till.path.unlink()

    assert till.states() is None


def test_without_a_copy_and_with_nothing_to_read_nothing_is_left(till: Till) -> None:
    till.path.write_bytes(bytes(50_000))

    assert proposed(till).is_empty


def test_the_damaged_file_and_its_log_are_kept(till: Till) -> None:
    till.hurt(till.ids[-2])
    log = till.path.with_name("journal.db-wal")
    log.write_bytes(b"what was written last")
    before = till.path.read_bytes()

    assert till.states() is None
    assert (till.path.read_bytes(), log.read_bytes()) == (
        before,
        b"what was written last",
    )
    restored(till)

    kept = till.folder.path / "journal.damaged-now.db"
    assert kept.read_bytes() == before
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"what was written last"
    assert not log.exists()


def test_what_was_kept_before_is_kept_beside_it(till: Till) -> None:
    for intent_id in till.ids[3:5]:
        till.hurt(intent_id)
        restored(till)

    kept = sorted(each.name for each in till.folder.path.glob("journal.damaged-*.db"))
    assert kept == ["journal.damaged-now-again.db", "journal.damaged-now.db"]


def test_what_was_committed_to_the_log_only_is_salvaged_too(till: Till) -> None:
    journal = SqliteJournal(till.path, till.keys)
    more = IntentIds().new(NINE_O_CLOCK + ALL * MINUTE)
    began(journal, 99, more, ends=True)
    for name in ("journal.db", "journal.db-wal"):
        content = (till.folder.path / name).read_bytes()
        (till.folder.path / f"{name}.then").write_bytes(content)
    journal.close()
    for name in ("journal.db", "journal.db-wal"):
        (till.folder.path / f"{name}.then").replace(till.folder.path / name)
    till.hurt(till.ids[0])  # on a page that is not in the log

    restored(till)

    found = till.states()
    assert found is not None
    assert len(found) == ALL - 1 + 1
    assert found[more] == "ACTIVE"


def test_an_older_journal_put_in_its_place_is_noticed(till: Till) -> None:
    then = till.path.read_bytes()
    till.states()  # the agent has run since
    till.path.write_bytes(then)

    assert till.states() is None
    proposal = restored(till)

    assert proposal.condition is Condition.OLDER
    assert proposal.plan.has_gap
    assert proposal.plan.since is not None
    assert proposal.plan.until is None
    found = till.states()
    assert found is not None
    assert list(found.values()).count("MANUAL") == ALL - FINISHED


def test_a_copy_of_ours_put_in_its_place_is_noticed(till: Till) -> None:
    place = Place(till.folder.path)
    journal = place.opened(till.open)
    for _ in journal.copy(till.folder.path / NEWEST):
        pass
    assert isinstance(journal, SqliteJournal)
    place.turn(journal)  # as it is when a copy was kept
    journal.close()
    place.close()
    till.path.write_bytes((till.folder.path / NEWEST).read_bytes())

    assert till.states() is None


def test_event_numbers_go_on_beyond_those_of_safe_mode(till: Till) -> None:
    till.hurt(till.ids[-2])
    place = Place(till.folder.path)
    safe = place.opened(till.open)
    told = safe.reserve("events", 1_000) + 1_000
    place.close()
    with closing(rescue(till)) as at_work:
        proposal = at_work.proposal(told, lambda _: None)
        assert proposal is not None
        at_work.carry_out(proposal.plan, "now")

    next_one: list[int] = []
    with_place(
        till.folder.path,
        till.keys,
        lambda journal: next_one.append(journal.reserve("events", 1)),
    )

    assert told > NINE_O_CLOCK // 2  # beyond whatever was counted from one
    assert next_one[0] > told


@pytest.mark.parametrize("held_by", ["an agent", "one in safe mode", "a rescue"])
def test_two_never_have_the_journal(till: Till, held_by: str) -> None:
    if held_by != "an agent":
        till.hurt(till.ids[-2])
    holder: Place | Rescue = (
        rescue(till) if held_by == "a rescue" else Place(till.folder.path)
    )
    opened = [holder.opened(till.open)] if isinstance(holder, Place) else []
    safe = [isinstance(each, SafeJournal) for each in opened]

    with pytest.raises(JournalInUseError):
        Place(till.folder.path)
    if held_by == "one in safe mode":
        rescue(till).close()
    else:
        with pytest.raises(JournalInUseError):
            rescue(till)
    for each in (*opened, holder):
        each.close()

    assert any(safe) == (held_by == "one in safe mode")


def test_a_lock_is_free_again_when_it_was_refused_beside_another(till: Till) -> None:
    held = Lock(till.folder.path / "journal.lock")
    with pytest.raises(JournalInUseError):
        Place(till.folder.path)
    held.close()

    Place(till.folder.path).close()


def test_an_agent_waits_for_one_who_only_looks(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin.journal.place.PATIENCE_MS", 10_000)
    looking = rescue(till)
    threading.Timer(0.2, looking.close).start()

    Place(till.folder.path).close()

    assert not [*till.folder.path.glob("restoring")]


def test_a_clock_that_went_back_does_not_make_the_new_journal_an_old_one(
    till: Till,
) -> None:
    (till.folder.path / "journal.epoch").write_text(str(9 * NINE_O_CLOCK))
    till.path.write_bytes(bytes(50_000))

    restored(till)

    assert till.states() == {}


def test_what_an_interrupted_restoring_has_left_goes_with_the_next_start(
    till: Till,
) -> None:
    bench = till.folder.path / BENCH
    bench.mkdir()
    (bench / "journal.db").write_bytes(till.path.read_bytes())

    place = Place(till.folder.path)
    place.opened(lambda file: SqliteJournal(file, till.keys)).close()
    place.close()

    assert not bench.exists()


def test_where_no_lock_can_be_there_is_no_agent(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        Lock(tmp_path / "no such folder" / "lock")


SAFE: list[Callable[[SafeJournal], object]] = [
    lambda safe: safe.create(Activation(origin=ORIGIN), ASKED),
    lambda safe: safe.remember(ASKED),
    lambda safe: safe.save(Activation(origin=ORIGIN)),
    lambda safe: safe.get("i"),
    lambda safe: safe.recent(10),
    lambda safe: safe.tear(TORN),
    lambda safe: safe.mend("x"),
    lambda safe: next(safe.copy(Path("nowhere"))),
]


@pytest.mark.parametrize("verb", SAFE)
def test_safe_mode_promises_nothing_and_denies_nothing(
    verb: Callable[[SafeJournal], object],
) -> None:
    with pytest.raises(SafeModeError):
        verb(SafeJournal(7))


def test_safe_mode_lets_cards_be_read() -> None:
    safe = SafeJournal(7)

    assert safe.request("pos", "key") is None
    assert safe.of_card("card") == ()
    assert safe.unfinished() == ()
    assert safe.torn("card") is None
    assert (safe.reserve("events", 10), safe.reserve("events", 10)) == (7, 17)


def test_a_part_of_the_disk_that_does_not_answer_costs_its_pages() -> None:
    content = os.urandom(40 * PAGE + 100)
    bad = range(17 * PAGE, 19 * PAGE)

    def read(length: int, at: int) -> bytes:
        if at < bad.stop and at + length > bad.start:
            raise OSError(5, "Input/output error")
        return content[at : at + length]

    found = in_pages(read, len(content), 0)

    assert len(found) == len(content)
    differs = {at // PAGE for at in range(len(found)) if found[at] != content[at]}
    assert differs == {17, 18}


def test_a_disk_that_gives_what_lies_before_costs_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Linux does it: a read that meets a bad sector is cut short, and the next fails."""
    content, bad = os.urandom(40 * PAGE), range(17 * PAGE, 18 * PAGE)
    (tmp_path / "file").write_bytes(content)
    opened = Path.open

    class Failing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            at, length = self.tell(), size or 0
            if at in bad:
                raise OSError(5, "Input/output error")
            return super().read(
                bad.start - at if at < bad.start < at + length else size
            )

    def failing(path: Path, mode: str = "r", **more: Any) -> Any:  # noqa: ANN401 - any file
        return Failing(path) if mode == "rb" else opened(path, mode, **more)

    monkeypatch.setattr(Path, "open", failing)
    copied(tmp_path / "file", tmp_path / "copy")
    monkeypatch.undo()

    found = (tmp_path / "copy").read_bytes()
    assert found == content[: bad.start] + bytes(PAGE) + content[bad.stop :]


_CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir"})


def killed_at(step: int, till: Till) -> bool:
    """Restore in a process that kills itself at this step with the files; whether it
    did."""
    child = os.fork()
    if child == 0:
        try:
            left = step

            def count(event: str, _: object) -> None:
                nonlocal left
                if event in _CHANGES:
                    left -= 1
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(count)
            restored(till)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_at_any_step_it_was_done_or_it_was_not(tmp_path: Path) -> None:
    till = Till(tmp_path / "till")
    till.copy()
    till.hurt(till.ids[-2])
    log = till.path.with_name("journal.db-wal")
    log.write_bytes(b"what was written last")
    before = {each.name: each.read_bytes() for each in (till.path, log)}
    saved = {
        each.name: each.read_bytes()
        for each in till.folder.path.iterdir()
        if each.is_file()
    }
    done: list[bool] = []

    for step in range(1, 1_000):
        for each in [*till.folder.path.glob("journal.*")]:
            each.unlink()
        for name, content in saved.items():
            (till.folder.path / name).write_bytes(content)
        killed = killed_at(step, till)
        found = till.states()
        evidence = [
            (till.folder.path / f"{where}{end}").read_bytes()
            for where in ("journal.damaged-now.db",)
            for end in ("", "-wal")
            if found is not None
        ]
        if found is None:
            assert (till.path.read_bytes(), log.read_bytes()) == (*before.values(),)
        else:
            assert evidence == [*before.values()]
            assert len(found) == ALL
        done.append(found is not None)
        if not killed:
            break

    assert done == sorted(done)
    assert done.count(False) > 5
    assert done.count(True) > 5
    assert till.folder.journal.name == JOURNAL
