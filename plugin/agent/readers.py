"""Who is there: every reader of every directory, its card's stay, and its worker."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from drivers.conversation import Procedure
from drivers.ports import (
    Clock,
    DirectoryState,
    Reader,
    ReaderDirectory,
    ReaderStatus,
    SlotState,
)
from plugin.activation.desk import Slot
from plugin.activation.problem import Problem
from plugin.activation.region import Role
from plugin.agent.counting import Counts
from plugin.agent.errands import AskHsm, Errands, PsamSlot, without_help
from plugin.agent.happenings import Happenings
from plugin.agent.loop import DecidingLoop
from plugin.agent.worker import Job, ReaderWorker
from plugin.card.pin import Answer, Unanswered
from plugin.privacy import sm3

STALL_SECONDS = 4.4  # and half a second to find out why: five in all
Found = TypeVar("Found")
_BY_OTHERS = frozenset({"reader.in_use_by_other", "reader.port_busy"})
_OF_READERS = ("reader.", "pcsc.")  # how their codes begin
# What came of a reading, as an event about the card; of one that is gone, and of another
# program's doing, nothing is said of the card.
_OF_CARDS: dict[str, str | None] = {
    "card.mute": "card.mute",
    "card.removed": None,
    "card.absent": None,
    "card.reset_by_other": None,
}


class ReaderState(StrEnum):
    """Whether a reader can be used, as far as is known from the last time."""

    READY = "ready"
    BUSY = "busy"
    IN_USE_BY_OTHER = "in_use_by_other"
    FAULTED = "faulted"


class ReaderView(Struct, frozen=True, kw_only=True):
    """One reader as others may see it. `id` is the same for the same reader name."""

    id: str
    name: str
    transport: str
    slot: SlotState
    insertion_id: str | None
    state: ReaderState
    left_behind: bool
    problem: Problem | None  # the last, of this card or of the reader
    is_psam: bool
    problem_since: str | None = None  # RFC 3339
    role: Role | None = None  # of the card that is in, once it has been read
    transaction: str | None = None  # the one that may use it now
    accepted: bool = False  # whether that one has taken the card that is in


class _Pending(Struct, eq=False):
    """A job whose outcome is awaited. `done` is taken out when it is told, so that a timer
    that still waits keeps nobody's card in memory."""

    done: list[Callable[[Any], None]]


class _Reader(Struct):
    """What the board remembers of one reader."""

    id: str
    transport: str
    status: ReaderStatus
    insertion_id: str | None = None
    used: bool = False
    problem: Problem | None = None
    problem_since: str | None = None
    role: Role | None = None
    worker: ReaderWorker | None = None
    reading: _Pending | None = None
    told: ReaderState = ReaderState.READY

    @property
    def state(self) -> ReaderState:
        """How it stands."""
        code = self.problem.code if self.problem is not None else ""
        if self.reading is not None:
            return ReaderState.BUSY
        if code in _BY_OTHERS:
            return ReaderState.IN_USE_BY_OTHER
        faulted = code.startswith(_OF_READERS)
        return ReaderState.FAULTED if faulted else ReaderState.READY


class ReaderBoard:
    """Lives on the deciding thread; `changed` hears of every change of any slot. `psam` is
    part of the name of the slot that holds the PSAM, which takes no customer's card."""

    def __init__(
        self,
        loop: DecidingLoop,
        clock: Clock,
        happenings: Happenings,
        changed: Callable[[], None],
        counts: Counts,
        psam: str | None = None,
    ) -> None:
        self._counts = counts
        self._loop = loop
        self._clock = clock
        self._happenings = happenings
        self._changed = changed
        self._directories: dict[str, ReaderDirectory] = {}
        self._readers: dict[str, _Reader] = {}
        self._troubles: dict[str, Problem] = {}
        self._psam_name = psam
        self._psam = PsamSlot(self._psam_reader)

    def add(self, transport: str, directory: ReaderDirectory) -> None:
        """Readers of this directory will be told of with `directory_changed`."""
        self._directories[transport] = directory

    def directory_changed(self, transport: str, state: DirectoryState) -> None:
        """What one directory sees now."""
        self._note_trouble(transport, state)
        now = {_reader_id(transport, each.name): each for each in state.readers}
        ours = {r.id: r for r in self._readers.values() if r.transport == transport}
        for reader_id in ours.keys() - now.keys():
            self._detach(reader_id)
        for reader_id, status in now.items():
            if reader_id not in ours:
                self._attach(reader_id, transport, status)
            elif ours[reader_id].status != status:
                self._slot_changed(ours[reader_id], status)
        self._changed()

    def views(self) -> tuple[ReaderView, ...]:
        """Every reader, in the order they came."""
        return tuple(
            ReaderView(
                id=reader.id,
                name=reader.status.name,
                transport=reader.transport,
                slot=reader.status.slot,
                insertion_id=reader.insertion_id,
                state=reader.state,
                left_behind=reader.used and reader.insertion_id is not None,
                problem=reader.problem,
                is_psam=self._is_psam(reader),
                problem_since=reader.problem_since if reader.problem else None,
                role=reader.role,
            )
            for reader in self._readers.values()
        )

    def troubles(self) -> tuple[Problem, ...]:
        """Why a whole directory cannot be asked."""
        return tuple(self._troubles.values())

    def trouble(self) -> Problem | None:
        """The first of them."""
        return next(iter(self._troubles.values()), None)

    def slots(self, chosen: frozenset[str] | None) -> tuple[Slot, ...]:
        """The counter as a transaction sees it: the chosen readers, or all."""
        return tuple(
            Slot(
                reader=reader.id,
                insertion_id=reader.insertion_id,
                mute=reader.status.slot is SlotState.MUTE,
                swiped=reader.status.slot is SlotState.SWIPED,
                left_behind=reader.used,
            )
            for reader in self._readers.values()
            if (chosen is None or reader.id in chosen) and not self._is_psam(reader)
        )

    def is_present(self, insertion_id: str) -> bool:
        """Whether the card of this stay still lies in its reader; one that was swiped does
        not."""
        return any(
            reader.insertion_id == insertion_id
            and reader.status.slot is not SlotState.SWIPED
            for reader in self._readers.values()
        )

    def atr(self, insertion_id: str) -> bytes:
        """The answer to reset of the card of this stay; empty when it is gone."""
        found = (r for r in self._readers.values() if r.insertion_id == insertion_id)
        reader = next(found, None)
        return reader.status.atr if reader is not None else b""

    def recognised(self, insertion_id: str, role: Role) -> None:
        """The card of this stay is one of these."""
        for reader in self._readers.values():
            if reader.insertion_id == insertion_id:
                reader.role = role

    def mark_used(self, insertion_ids: frozenset[str]) -> None:
        """These stays belonged to a transaction that is over."""
        for reader in self._readers.values():
            if reader.insertion_id in insertion_ids:
                reader.used = True
                self._tell("card.left_in_reader", reader)

    def read(
        self,
        slot: Slot,
        procedure: Callable[[bytes], Procedure[Found]],
        done: Callable[[Found | Problem], None],
        ask_hsm: AskHsm,
        trace_id: str,
    ) -> None:
        """Read the card of this stay with the procedure for its answer to reset; what it
        needs of the centre's HSM goes through `ask_hsm`, on the reader's thread. `done` is
        called exactly once, on the deciding thread, also when the reader never answers."""
        reader = self._with_stay(slot)
        if reader is None:
            self._loop.post(lambda: done(Problem("card.removed")))
            return

        began = self._clock.monotonic()

        def noted(outcome: Found | Problem) -> None:
            self._counts.read_seconds.note(self._clock.monotonic() - began)
            self._note_outcome(reader, outcome)
            done(outcome)

        job = Job(
            partial(procedure, reader.status.atr),
            noted,
            trace_id,
            lambda: Errands(self._psam, ask_hsm),
        )
        self._have_done(reader, job, STALL_SECONDS)

    def present(
        self,
        slot: Slot,
        procedure: Callable[[], Procedure[Answer]],
        done: Callable[[Answer | Problem], None],
        trace_id: str,
        seconds: float = 0.0,
    ) -> None:
        """Present a PIN to the card of this stay, once; `seconds` is how long somebody may
        type on the reader. `done` is called as by `read`; with a problem only when the
        card was not asked and will not be."""
        reader = self._with_stay(slot)
        if reader is None:
            self._loop.post(lambda: done(Problem("card.removed")))
            return
        errands = without_help()

        def known(outcome: Answer | Problem) -> None:
            asked = errands.rights and isinstance(outcome, Problem)
            done(Unanswered() if asked else outcome)

        job = Job(procedure, known, trace_id, lambda: errands)
        self._have_done(reader, job, seconds + STALL_SECONDS)

    def _have_done(
        self,
        reader: _Reader,
        job: Job[Found],
        patience: float,
    ) -> None:
        """Give a job to the reader's thread; one that gets nowhere for so many seconds is
        abandoned."""
        worker = self._worker(reader)
        pending = reader.reading = _Pending([job.done])
        self._tell_state(reader)

        def finish(outcome: Found | Problem) -> None:
            if reader.reading is pending:
                reader.reading = None
                pending.done.pop()(outcome)
                self._tell_state(reader)

        def give_up_when_stalled() -> None:
            if reader.reading is not pending:
                return
            left = patience - worker.idle_seconds()
            if left > 0:
                self._loop.after(1 + int(left * 1000), give_up_when_stalled)
                return
            reader.worker = None  # its thread is abandoned with all that it holds
            worker.abandon()
            finish(worker.stalled())

        worker.read(
            replace(job, done=lambda found: self._loop.post(lambda: finish(found)))
        )
        give_up_when_stalled()

    def close(self) -> None:
        """Let every worker go."""
        for reader in self._readers.values():
            if reader.worker is not None:
                reader.worker.retire()

    def _with_stay(self, slot: Slot) -> _Reader | None:
        """The reader of this slot, while the same card is in it."""
        reader = self._readers.get(slot.reader)
        there = reader is not None and reader.insertion_id == slot.insertion_id
        return reader if there else None

    def _worker(self, reader: _Reader) -> ReaderWorker:
        if reader.worker is None:
            directory = self._directories[reader.transport]
            reader.worker = ReaderWorker(
                reader.id,
                partial(directory.reader, reader.status.name),
                self._clock,
                self._counts.status_words.add,
            )
        return reader.worker

    def _is_psam(self, reader: _Reader) -> bool:
        return self._psam_name is not None and self._psam_name in reader.status.name

    def _psam_reader(self) -> Reader | None:
        """The PSAM's reader. From the thread that reads."""
        for reader in tuple(self._readers.values()):
            if self._is_psam(reader):
                return self._directories[reader.transport].reader(reader.status.name)
        return None

    def _attach(self, reader_id: str, transport: str, status: ReaderStatus) -> None:
        reader = _Reader(reader_id, transport, ReaderStatus(status.name))
        self._readers[reader_id] = reader
        self._tell("reader.attached", reader)
        if status.slot is not SlotState.EMPTY:
            self._slot_changed(reader, status)
        reader.status = status

    def _detach(self, reader_id: str) -> None:
        reader = self._readers.pop(reader_id)
        if reader.insertion_id is not None:
            self._tell("card.removed", reader)
        if reader.worker is not None:
            reader.worker.retire()
        self._tell("reader.detached", reader)

    def _slot_changed(self, reader: _Reader, status: ReaderStatus) -> None:
        if reader.insertion_id is not None:
            self._tell("card.removed", reader)
        reader.status = status
        reader.insertion_id = None
        reader.used = False
        reader.role = None
        if status.slot is not SlotState.EMPTY:
            reader.insertion_id = f"i-{uuid.uuid4().hex[:16]}"
            reader.problem = None
            mute = status.slot is SlotState.MUTE
            self._tell("card.mute" if mute else "card.inserted", reader)
            self._tell_state(reader)

    def _note_outcome(self, reader: _Reader, outcome: object) -> None:
        code = outcome.code if isinstance(outcome, Problem) else ""
        self._counts.reads.add(reader.id, code)
        if not isinstance(outcome, Problem):
            reader.problem = None
            self._tell("card.recognised", reader)
            return
        if reader.problem is None or reader.problem.code != outcome.code:
            reader.problem_since = self._loop.wall()
        reader.problem = outcome
        of_card = _OF_CARDS.get(outcome.code, "card.unsupported")
        if of_card is not None and not outcome.code.startswith(_OF_READERS):
            self._tell(of_card, reader, code=outcome.code)

    def _tell_state(self, reader: _Reader) -> None:
        """Once for every change, and while it is still there."""
        now = reader.state
        if now is reader.told or reader.id not in self._readers:
            return
        reader.told = now
        if now is ReaderState.FAULTED and reader.problem is not None:
            self._tell("reader.faulted", reader, code=reader.problem.code)
        else:
            self._tell("reader.changed", reader, state=now.value)

    def _note_trouble(self, transport: str, state: DirectoryState) -> None:
        if state.trouble is not None:
            self._troubles[transport] = Problem(state.trouble.code)
            data = {"transport": transport, "code": state.trouble.code}
            self._happenings.tell("agent.degraded", f"transports/{transport}", data)
        elif self._troubles.pop(transport, None) is not None:
            self._counts.reconnects.add(transport)
            subject = f"transports/{transport}"
            self._happenings.tell("agent.recovered", subject, {"transport": transport})

    def _tell(self, kind: str, reader: _Reader, **data: str) -> None:
        if reader.insertion_id is not None and kind.startswith("card."):
            data["insertion_id"] = reader.insertion_id
        self._happenings.tell(kind, f"readers/{reader.id}", data)


def _reader_id(transport: str, name: str) -> str:
    return f"r-{sm3(f'{transport} {name}'.encode())[:12]}"
