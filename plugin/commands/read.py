"""`kaqi read`: what one card says, without an agent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from msgspec.structs import replace

from drivers.iso7816.atr import Atr
from drivers.ports import Clock, Reader, ReaderDirectory, ReaderStatus, SlotState
from plugin import privacy
from plugin.activation.problem import Problem
from plugin.activation.region import RegionProfile
from plugin.agent.errands import Errands, PsamSlot, no_hsm
from plugin.agent.readers import STALL_SECONDS
from plugin.agent.worker import Job, ReaderWorker
from plugin.card.authentication import Means
from plugin.card.basic_info import ENCODING, basic_info
from plugin.card.medical import MedicalCard
from plugin.card.reading import Card, read_card
from plugin.card.social_security import SocialSecurityCard
from plugin.commands import screen
from plugin.settings import Terminal

OK, NO_READER, NO_CARD, MUTE, UNREADABLE, NO_SERVICE = 0, 10, 11, 12, 13, 14
_EXIT_CODES = {
    "pcsc.unavailable": NO_SERVICE,
    "pcsc.silent": NO_SERVICE,
    "reader.none": NO_READER,
    "reader.gone": NO_READER,
    "reader.port_gone": NO_READER,
    "reader.port_busy": NO_READER,
    "reader.port_forbidden": NO_READER,
    "reader.not_answering": NO_READER,
    "reader.line_noise": NO_READER,
    "reader.line_refused": NO_READER,
    "reader.line_echo_lost": NO_READER,
    "reader.timeout": NO_READER,
    "card.absent": NO_CARD,
    "card.removed": NO_CARD,
    "card.mute": MUTE,
}
_LOOK_SECONDS = 0.2


class _StoppedError(Exception):
    """Nothing was read, and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def run(
    directory: ReaderDirectory,
    profile: RegionProfile,
    clock: Clock,
    *,
    wanted: str | None,
    psam: str | None,
    wait: float,
    reveal: bool,
    as_json: bool,
    as_basic_info: bool,
) -> int:
    """Read the card in the first reader that has one, within `wait` seconds; `wanted` is
    part of a reader's name, `psam` part of that of the slot that holds the PSAM."""
    deadline = clock.monotonic() + wait
    try:
        status = _reader_with_card(directory, wanted, psam)
        while isinstance(status, Problem) and clock.monotonic() < deadline:
            threading.Event().wait(_LOOK_SECONDS)
            status = _reader_with_card(directory, wanted, psam)
        if isinstance(status, Problem):
            raise _StoppedError(status)
        card = _read(directory, status, profile, clock, psam)
    except _StoppedError as stopped:
        screen.complain(stopped.problem, as_json=as_json)
        return _EXIT_CODES.get(stopped.problem.code, UNREADABLE)
    if as_basic_info:
        return _show_basic_info(card, status, reveal=reveal, as_json=as_json)
    shown = as_object(card, status, reveal=reveal)
    if as_json:
        screen.json_line(shown)
        return OK
    for key, value in shown.items():
        screen.line(f"{key:>26}  {value if value is not None else '-'}")
    return OK


def _reader_with_card(
    directory: ReaderDirectory, wanted: str | None, psam: str | None
) -> ReaderStatus | Problem:
    """The one to read, or why there is none yet."""
    state = directory.look()
    readers = [
        each
        for each in state.readers
        if (wanted or "") in each.name and not (psam and psam in each.name)
    ]
    if not readers:
        return Problem(state.trouble.code if state.trouble else "reader.none")
    for each in readers:
        if each.slot in (SlotState.PRESENT, SlotState.SWIPED):
            return each
    mute = any(each.slot is SlotState.MUTE for each in readers)
    return Problem("card.mute" if mute else "card.absent")


def _read(
    directory: ReaderDirectory,
    status: ReaderStatus,
    profile: RegionProfile,
    clock: Clock,
    psam: str | None,
) -> Card:
    """On a worker, so that a reader that never answers costs seconds and not for ever."""
    answers: queue.SimpleQueue[Card | Problem] = queue.SimpleQueue()
    name = status.name
    worker = ReaderWorker(name, lambda: directory.reader(name), clock)
    how = profile.cards.authentication  # there is no centre here, and so no HSM
    without_hsm = tuple(means for means in how.means if means is Means.PSAM)
    layouts = replace(profile.cards, authentication=replace(how, means=without_hsm))

    def open_psam() -> Reader | None:
        slots = (
            [each.name for each in directory.look().readers if psam in each.name]
            if psam
            else []
        )
        return directory.reader(slots[0]) if slots else None

    worker.read(
        Job(
            lambda: read_card(layouts, status.atr),
            answers.put,
            trace_id="",
            errands=lambda: Errands(PsamSlot(open_psam), no_hsm),
        )
    )
    worker.retire()
    while True:
        try:
            answer = answers.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if worker.idle_seconds() < STALL_SECONDS:
                continue
            answer = worker.stalled()
        if isinstance(answer, Problem):
            raise _StoppedError(answer)
        return answer


def _show_basic_info(
    card: Card, status: ReaderStatus, *, reveal: bool, as_json: bool
) -> int:
    """The string of `iReadCardBas`, in GB18030 where standard output is not a console."""
    if not isinstance(card, SocialSecurityCard):
        screen.complain(Problem("card.social_security_wanted"), as_json=as_json)
        return UNREADABLE
    if not reveal:
        card = masked(card)
    historical = Atr.parse(status.atr).historical_bytes
    screen.octets(basic_info(card, historical, Terminal()), ENCODING)
    return OK


def masked(card: SocialSecurityCard) -> SocialSecurityCard:
    """The same card without what names its holder."""
    issue = replace(
        card.issue,
        card_number=privacy.masked_tail(card.issue.card_number),
        identification_code=privacy.masked_number(card.issue.identification_code) or "",
    )
    number = privacy.masked_number(card.social_security_number) or ""
    name = privacy.masked_name(card.name)
    return replace(card, issue=issue, social_security_number=number, name=name)


def as_object(card: Card, status: ReaderStatus, *, reveal: bool) -> dict[str, object]:
    """The card under the names of the interface; personal fields masked unless revealed."""
    person = card if isinstance(card, SocialSecurityCard) else None
    kind = "social_security" if person else "medical"
    issue = card.issue
    mask: Callable[[Callable[[str | None], str | None], str | None], str | None]
    mask = (lambda _, value: value) if reveal else (lambda hide, value: hide(value))
    born = person.birth_date if person else None
    number = card.number if isinstance(card, MedicalCard) else card.issue.card_number
    code = issue.identification_code if issue else None
    return {
        "kind": kind,
        "spec_version": issue.spec_version if issue else None,
        "social_security_number": mask(
            privacy.masked_number, card.social_security_number
        ),
        "name": mask(privacy.masked_name, card.name),
        "sex": person.sex if person else None,
        "nation_code": person.nation_code if person else None,
        "birth_date": mask(privacy.masked_day, born.isoformat() if born else None),
        "birthplace_code": person.birthplace_code if person else None,
        "card_number": mask(privacy.masked_tail, number),
        "card_identification_code": mask(privacy.masked_number, code),
        "region_code": issue.region if issue else None,
        "card_class": issue.card_class if issue else None,
        "issuer_code": issue.issuer_code if issue else None,
        "issue_date": _day(issue.issue_date if issue else None),
        "expiry_date": _day(issue.expiry_date if issue else None),
        "atr": status.atr.hex().upper(),
        "historical_bytes": Atr.parse(status.atr).historical_bytes.hex().upper(),
        "reader": status.name,
        "warnings": list(card.warnings),
    }


def _day(value: object) -> str | None:
    return str(value) if value is not None else None
