"""Requests to be paired, and the way into the console: what is decided, on a clock that is
moved by hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from plugin.agent import pairings as rules
from plugin.agent.clients import SCOPES, Clients
from plugin.agent.console import (
    CODE_SECONDS,
    SESSIONS_AT_MOST,
    Console,
    UnkeptError,
)
from plugin.agent.happenings import Happening, Happenings
from plugin.agent.pairings import LIFE_SECONDS, Pairing, Pairings, State, Wish
from plugin.agent.service import Client, ProblemError
from plugin.data_folder import DataFolder
from plugin.journal.memory import MemoryJournal

HERE = "http://127.0.0.1:15274"
HIS = Wish(client="his", version="3.2", scopes=frozenset({"read"}), origin="")


class Entrance:
    """Everything that lets somebody in, on a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.now = 0
        self.folder = DataFolder(folder)
        self.told: list[Happening] = []
        happenings = Happenings(MemoryJournal(), lambda: "now")
        happenings.listen(self.told.append)
        random = Random(7)
        self.console = Console(
            sessions=self.folder,
            ticks=lambda: self.now,
            wall=lambda: 1_800_000_000_000 + self.now,
            random=random,
            scopes=frozenset(SCOPES),
        )
        self.clients = Clients(self.folder, self.console, happenings)
        self.pairings = Pairings(
            clients=self.clients,
            ticks=lambda: self.now,
            wall_in=lambda seconds: f"in {seconds:g}",
            random=random,
        )

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * 1000)

    def events(self) -> list[tuple[str, str]]:
        return [(event.type, event.subject) for event in self.told]


@pytest.fixture
def entrance(tmp_path: Path) -> Entrance:
    return Entrance(tmp_path)


def wrong_for(pairing: Pairing) -> str:
    return f"{(int(pairing.code) + 1) % 10**6:06}"


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as failed:
        call()
    return failed.value.problem.code


def test_who_shows_the_right_code_is_given_a_token_once(entrance: Entrance) -> None:
    asked = entrance.pairings.ask(HIS)
    before = entrance.pairings.poll(asked.id, asked.secret)

    entrance.pairings.approve(asked.id, asked.code)
    pairing, token = entrance.pairings.poll(asked.id, asked.secret)
    after = entrance.pairings.poll(asked.id, asked.secret)

    assert (before[0].state, before[1]) == (State.WAITING, None)
    assert token is not None
    assert pairing.state is State.COLLECTED
    assert (after[0].state, after[1]) == (State.COLLECTED, None)
    client = entrance.clients.known(token)
    assert client is not None
    assert (client.id, client.scopes, client.origin) == ("his", HIS.scopes, "")
    assert entrance.events() == [("client.paired", "clients/his")]


def test_nothing_is_kept_of_who_does_not_fetch_its_token(entrance: Entrance) -> None:
    asked = entrance.pairings.ask(HIS)
    entrance.pairings.approve(asked.id, asked.code)
    entrance.pass_seconds(LIFE_SECONDS)

    found, token = entrance.pairings.poll(asked.id, asked.secret)

    assert (found.state, token) == (State.EXPIRED, None)
    assert entrance.clients.all() == ()


@pytest.mark.parametrize("change", ["", "short", "upper", "code", "odd"])
def test_only_its_secret_shows_a_pairing(entrance: Entrance, change: str) -> None:
    asked = entrance.pairings.ask(HIS)
    entrance.pairings.approve(asked.id, asked.code)
    said = {
        "": "",
        "short": asked.secret[:-1],
        "upper": asked.secret.upper(),
        "code": asked.code,
        "odd": "密",
    }[change]

    seen = refused(lambda: entrance.pairings.poll(asked.id, said))
    unknown = refused(lambda: entrance.pairings.poll("p-00000000", asked.secret))

    assert seen == unknown == "pairing.unknown"
    assert entrance.clients.all() == ()


def test_after_five_wrong_codes_the_right_one_is_too_late(entrance: Entrance) -> None:
    asked = entrance.pairings.ask(HIS)

    for left in (4, 3, 2, 1, 0):
        code = refused(lambda: entrance.pairings.approve(asked.id, wrong_for(asked)))
        assert code == "pairing.wrong_code"
        assert entrance.pairings.all()[0].tries_left == left

    assert refused(lambda: entrance.pairings.approve(asked.id, asked.code)) == (
        "pairing.ended"
    )
    assert entrance.pairings.all()[0].state is State.DENIED


def test_a_code_is_good_for_five_minutes_and_not_a_moment_longer(
    entrance: Entrance,
) -> None:
    asked = entrance.pairings.ask(HIS)
    entrance.pass_seconds(LIFE_SECONDS - 0.001)
    assert entrance.pairings.all()[0].state is State.WAITING

    entrance.pass_seconds(0.001)

    assert refused(lambda: entrance.pairings.approve(asked.id, asked.code)) == (
        "pairing.ended"
    )
    entrance.pass_seconds(LIFE_SECONDS)
    assert entrance.pairings.all() == ()
    assert refused(lambda: entrance.pairings.poll(asked.id, asked.secret)) == (
        "pairing.unknown"
    )


def test_who_is_denied_hears_so_and_stays_denied(entrance: Entrance) -> None:
    asked = entrance.pairings.ask(HIS)
    entrance.pairings.approve(asked.id, asked.code)

    entrance.pairings.deny(asked.id)

    assert entrance.pairings.poll(asked.id, asked.secret)[0].state is State.DENIED
    assert refused(lambda: entrance.pairings.approve(asked.id, asked.code)) == (
        "pairing.ended"
    )


def test_what_was_fetched_cannot_be_denied_any_more(entrance: Entrance) -> None:
    asked = entrance.pairings.ask(HIS)
    entrance.pairings.approve(asked.id, asked.code)
    entrance.pairings.approve(asked.id, asked.code)  # a click that comes twice
    entrance.pairings.poll(asked.id, asked.secret)

    assert refused(lambda: entrance.pairings.deny(asked.id)) == "pairing.ended"


def test_only_a_few_may_wait_and_ask(entrance: Entrance) -> None:
    first = [entrance.pairings.ask(HIS) for _ in range(rules.WAITING_AT_MOST)]

    assert refused(lambda: entrance.pairings.ask(HIS)) == "pairing.too_many"
    for each in first:
        entrance.pairings.deny(each.id)
    with pytest.raises(ProblemError) as often:
        entrance.pairings.ask(HIS)

    assert often.value.problem.code == "pairing.too_many"
    assert often.value.extras == {"retry_after": 60 // rules.ASKED_A_MINUTE}
    entrance.pass_seconds(60 / rules.ASKED_A_MINUTE)
    assert entrance.pairings.ask(HIS).state is State.WAITING


def test_a_room_that_is_full_says_when_it_will_not_be(entrance: Entrance) -> None:
    for _ in range(rules.WAITING_AT_MOST):
        entrance.pairings.ask(HIS)
    entrance.pass_seconds(100)

    with pytest.raises(ProblemError) as full:
        entrance.pairings.ask(HIS)

    assert full.value.extras == {"retry_after": 201}


def test_codes_secrets_and_ids_are_never_the_same(entrance: Entrance) -> None:
    seen = []
    for _ in range(200):
        seen.append(entrance.pairings.ask(HIS))
        entrance.pass_seconds(60)

    assert len({each.secret for each in seen}) == 200
    assert all(len(each.code) == 6 and each.code.isdigit() for each in seen)
    assert all(len(each.secret) == 64 for each in seen)
    assert seen[0].code not in repr(seen[0])
    assert seen[0].secret not in repr(seen[0])


def test_the_same_client_again_voids_its_earlier_token(entrance: Entrance) -> None:
    old = entrance.clients.let_in(Client(id="his", scopes=HIS.scopes, origin=""))
    asked = entrance.pairings.ask(HIS)
    assert asked.replaces
    assert entrance.clients.known(old) is not None

    entrance.pairings.approve(asked.id, asked.code)
    assert entrance.clients.known(old) is not None
    _, new = entrance.pairings.poll(asked.id, asked.secret)

    assert new is not None
    assert entrance.clients.known(old) is None
    assert entrance.events() == [
        ("client.paired", "clients/his"),
        ("client.revoked", "clients/his"),
        ("client.paired", "clients/his"),
    ]


@pytest.mark.parametrize("origin", [None, "https://his.example"])
def test_nobody_takes_the_name_of_a_client_elsewhere(
    entrance: Entrance, origin: str | None
) -> None:
    entrance.folder.pair("his", ("read",), origin)
    asked = entrance.pairings.ask(HIS)

    problem = refused(lambda: entrance.pairings.approve(asked.id, asked.code))

    assert problem == "pairing.name_taken"
    assert entrance.pairings.all()[0].state is State.WAITING


def test_a_token_that_cannot_be_written_can_be_fetched_later(
    entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = entrance.pairings.ask(HIS)
    entrance.pairings.approve(asked.id, asked.code)

    def full(*_: object) -> str:
        raise UnkeptError("no space left")

    with monkeypatch.context() as disk:
        disk.setattr(entrance.folder, "pair", full)
        assert refused(lambda: entrance.pairings.poll(asked.id, asked.secret)) == (
            "client.not_kept"
        )

    assert entrance.pairings.poll(asked.id, asked.secret)[1] is not None


def test_a_console_code_works_once(entrance: Entrance) -> None:
    code = entrance.console.code()

    token, client = entrance.console.open(code, HERE)

    assert entrance.clients.known(token) == client
    assert (client.id, client.origin) == ("console", HERE)
    assert client.scopes == frozenset(SCOPES)


def test_a_console_code_used_twice_closes_what_it_opened(entrance: Entrance) -> None:
    code, other = entrance.console.code(), entrance.console.code()
    overheard, _ = entrance.console.open(code, HERE)
    kept, _ = entrance.console.open(other, HERE)

    problem = refused(lambda: entrance.console.open(code, HERE))

    assert problem == "console.code_void"
    assert entrance.clients.known(overheard) is None
    assert entrance.clients.known(kept) is not None


def test_a_console_code_is_good_for_a_minute(entrance: Entrance) -> None:
    early, late = entrance.console.code(), entrance.console.code()
    entrance.pass_seconds(CODE_SECONDS - 0.001)
    entrance.console.open(early, HERE)
    entrance.pass_seconds(0.001)

    assert refused(lambda: entrance.console.open(late, HERE)) == "console.code_void"
    assert refused(lambda: entrance.console.open("", HERE)) == "console.code_void"


def test_a_console_code_that_must_last_longer_does(entrance: Entrance) -> None:
    lasting, late = entrance.console.code(seconds=1_800), entrance.console.code(1_800)
    entrance.pass_seconds(1_799.999)
    entrance.console.open(lasting, HERE)
    entrance.pass_seconds(0.001)

    assert refused(lambda: entrance.console.open(late, HERE)) == "console.code_void"


def test_only_so_many_consoles_are_open(entrance: Entrance) -> None:
    tokens = [
        entrance.console.open(entrance.console.code(), HERE)[0]
        for _ in range(SESSIONS_AT_MOST + 1)
    ]

    assert entrance.clients.known(tokens[0]) is None
    assert all(entrance.clients.known(token) for token in tokens[1:])


def test_revoking_the_console_closes_all_of_them(entrance: Entrance) -> None:
    token, _ = entrance.console.open(entrance.console.code(), HERE)

    entrance.clients.revoke("console")

    assert entrance.clients.known(token) is None
    assert entrance.events() == [("client.revoked", "clients/console")]
    assert refused(lambda: entrance.clients.revoke("console")) == "client.unknown"


def test_neither_code_nor_token_of_a_console_is_in_a_file(entrance: Entrance) -> None:
    code = entrance.console.code()
    token, _ = entrance.console.open(code, HERE)

    files = [each for each in entrance.folder.path.rglob("*") if each.is_file()]

    assert not any(
        secret.encode() in each.read_bytes() or secret in each.name
        for each in files
        for secret in (code, token, token.partition("~")[2])
    )


def test_the_key_of_hello_says_nothing_about_who_is_known(entrance: Entrance) -> None:
    token = entrance.folder.pair("his", ("read",))
    his, nobodys = (entrance.clients.hello_key(name) for name in ("his", "nobody"))

    assert len(his) == len(nobodys) == 32
    assert entrance.clients.hello_key("nobody") == nobodys
    assert DataFolder(entrance.folder.path).hello_key("nobody") == nobodys
    assert nobodys != entrance.clients.hello_key("somebody")
    entrance.clients.revoke("his")
    assert entrance.clients.hello_key("his") != his
    assert entrance.clients.known(token) is None


def test_nor_does_the_time_it_takes(entrance: Entrance) -> None:
    """In turn, so that what else the machine does falls on all of them."""
    names = [f"pos-{number}" for number in range(12)]
    for name in names:
        entrance.folder.pair(name, ("read",))

    def seconds(name: str) -> float:
        before = time.perf_counter()
        entrance.clients.hello_key(name)
        return time.perf_counter() - before

    asked = [*names, "nobody"]
    turns = [[seconds(name) for name in asked] for _ in range(21)]

    *known, nobody = (statistics.median(each) for each in zip(*turns, strict=True))
    assert nobody == pytest.approx(statistics.median(known), rel=0.4)
    assert min(known) > 0.4 * nobody
