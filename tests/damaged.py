"""Folders of tills whose journal something has happened to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from plugin.activation.saga import Activation, ActivationState, Origin
from plugin.agent.backups import NEWEST
from plugin.agent.intents import IntentIds
from plugin.data_folder import DataFolder
from plugin.journal.place import Place
from plugin.journal.port import Request
from plugin.journal.rescue import Rescue
from plugin.journal.safe import SafeJournal
from plugin.journal.sqlite import SqliteJournal
from plugin.privacy import Keys

NINE_O_CLOCK = 1_795_309_200_000  # 22 November 2026 in China, milliseconds since 1970
MINUTE = 60_000
UNFINISHED, FINISHED = 5, 20
ALL = UNFINISHED + FINISHED


class Till:
    """Twenty records that have ended, then five that were sent, a minute apart."""

    def __init__(self, path: Path) -> None:
        self.ids, files = _made()
        path.mkdir(exist_ok=True)
        for name, content in files.items():
            (path / name).write_bytes(content)
        self.folder = DataFolder(path)
        self.folder.dedicate(simulated=True)
        self.keys: Keys = self.folder.keys()
        self.path = self.folder.journal

    def open(self, file: Path) -> SqliteJournal:
        """A journal of this till."""
        return SqliteJournal(file, self.keys)

    def copy(self) -> None:
        """What the till keeps as its newest copy."""
        journal = SqliteJournal(self.path, self.keys)
        for _ in journal.copy(self.folder.path / NEWEST):
            pass
        journal.close()

    def hurt(self, intent_id: str) -> None:
        """Flip a bit in the row of this record, behind its id."""
        content = bytearray(self.path.read_bytes())
        at = content.rindex(intent_id.encode()) + len(intent_id) + 20
        content[at] ^= 1
        self.path.write_bytes(content)

    def states(self) -> dict[str, str] | None:
        """What an agent finds; None in safe mode."""
        found: dict[str, str] = {}

        def look(journal: SqliteJournal) -> None:
            for each in journal.recent(100):
                found[each.origin.intent_id] = each.state.value

        return found if with_place(self.folder.path, self.keys, look) else None


@cache
def _made() -> tuple[list[str], dict[str, bytes]]:
    """The ids of its records and its files, made once."""
    ids = IntentIds()
    every = [ids.new(NINE_O_CLOCK + at * MINUTE) for at in range(ALL)]

    def fill(journal: SqliteJournal) -> None:
        for at, intent_id in enumerate(every):
            began(journal, at, intent_id, ends=at < FINISHED)

    with tempfile.TemporaryDirectory() as path:
        with_place(Path(path), DataFolder(Path(path)).keys(), fill)
        files = {each.name: each for each in Path(path).iterdir() if each.is_file()}
        return every, {name: each.read_bytes() for name, each in files.items()}


def with_place(path: Path, keys: Keys, work: Callable[[SqliteJournal], object]) -> bool:
    """Work with it as an agent has it, unless that is in safe mode; whether it was
    not."""
    place = Place(path)
    journal = place.opened(lambda file: SqliteJournal(file, keys))
    sound = not isinstance(journal, SafeJournal)
    if not isinstance(journal, SafeJournal):
        work(journal)
    journal.close()
    place.close()
    return sound


def began(journal: SqliteJournal, at: int, intent_id: str, *, ends: bool) -> Activation:
    """A record that was sent, and perhaps answered."""
    origin = Origin(
        intent_id=intent_id,
        client_id="pos",
        scenario="pharmacy",
        institution="H1",
        profile="reference@1",
        pos_ref=f"sale-{at}",
        received_at="2026-11-22T09:00:00+08:00",
    )
    request = Request(
        client_id="pos",
        key=f"key-{at}",
        fingerprint=f"{at:064x}",
        transaction_id=origin.transaction_id,
    )
    record = Activation(origin=origin)
    journal.create(record, request)
    sent = replace(
        record,
        state=ActivationState.SENDING,
        card_ref=f"card-{at}",
        activation_id=f"{at:064x}",
        sent_as=f"message-{at}",
        message=b"a message of some length " * 8,
        attempt=1,
        sends=1,
    )
    record = journal.save(sent)
    if ends:
        return journal.save(replace(record, state=ActivationState.ACTIVE))
    return record


def restored(folder: Path) -> bool:
    """Restore what can be, without copies; whether there was anything to restore."""
    with closing(Rescue(folder, DataFolder(folder).keys(), [])) as rescue:
        proposal = rescue.proposal(NINE_O_CLOCK, lambda _: None)
        if proposal is not None:
            rescue.carry_out(proposal.plan, "now")
    return proposal is not None
