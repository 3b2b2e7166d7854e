"""What clients send: bodies, and what stands in paths and queries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from plugin.activation.pins import Typed
from plugin.activation.region import Scenario
from plugin.agent.clients import RESERVED, ClientId, Pairable
from plugin.agent.console import CODE_SECONDS, CODE_SECONDS_AT_MOST
from plugin.agent.paging import Wanted
from plugin.privacy import scrubbed
from plugin.shapes import Strict, WrongValueError, whole

WAIT_MAX_SECONDS = 120
LIST_MAX = 100

Reference = Annotated[str, whole(r"[0-9A-Za-z._:/#-]{1,64}")]
TransactionId = Annotated[str, whole(r"t-[0-9a-f]{32}")]
IntentId = Annotated[str, whole(r"[0-9a-f-]{36}")]
Moment = Annotated[
    str,
    whole(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([0-9]{2}:){2}[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
    ),
]
_ANY_DAY = "2026-01-01T00:00:00Z"
ReaderId = Annotated[str, whole(r"[!-~]{1,64}")]
PairingId = Annotated[str, whole(r"p-[0-9a-f]{8}")]
_SECRET = {"format": "password", "writeOnly": True}
Digits = Annotated[str, Meta(max_length=64, extra_json_schema=_SECRET)]


class Nothing(Strict):
    """Nothing needs to be said; an empty object is fine."""


class StartTransaction(Strict):
    """Start a transaction at the counter: an activation, or a dry run, which says whether
    one would be allowed and writes nothing anywhere. The references are the POS's own number for it
    and who is at the counter; `readers` are the ids to use, all of them when absent. With
    `on_client_loss` "cancel" it is cancelled when this client has neither asked for it nor
    followed the events for 30 s, and never once the centre may have the message; otherwise
    it is kept."""

    kind: Literal["activation", "dry_run"]
    scenario: Literal["pharmacy", "outpatient_registration", "inpatient_registration"]
    pos_ref: Reference | None = None
    operator_ref: Reference | None = None
    readers: Annotated[list[ReaderId], Meta(min_length=1, max_length=16)] | None = None
    on_client_loss: Literal["keep", "cancel"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        for key in ("pos_ref", "operator_ref"):
            value = getattr(self, key)
            if value is not None and scrubbed(value) != value:
                raise WrongValueError(key, "must not contain an identity number")

    @property
    def asked_scenario(self) -> Scenario:
        """The scenario as the rules know it."""
        return Scenario(self.scenario)


class GivePin(Strict):
    """What the holder typed here: `pin`, and `new_pin` where a new one is wanted; neither,
    to type on the reader's keypad. `seq` is that of the snapshot it answers: send it
    always, and a click that comes twice, or too late, reaches no card.
    `confirm_last_try` says that the holder knows that a wrong PIN blocks the card."""

    pin: Digits | None = None
    new_pin: Digits | None = None
    seq: Annotated[int, Meta(ge=0)] | None = None
    confirm_last_try: bool = False

    def __repr__(self) -> str:
        return "GivePin()"

    @property
    def typed(self) -> Typed:
        """The same for the desk."""
        return Typed(
            pin=self.pin,
            new_pin=self.new_pin,
            confirm_last_try=self.confirm_last_try,
        )

    @property
    def lasting(self) -> GivePin:
        """Without the PINs."""
        return GivePin(seq=self.seq, confirm_last_try=self.confirm_last_try)


class Settle(Strict):
    """What a person has found out at the centre about an activation that needs one, why, and
    who that was. The reason names nobody: an identity number in it is refused."""

    verdict: Literal["active", "rejected"]
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    operator_ref: Reference

    def __post_init__(self) -> None:
        for key in ("reason", "operator_ref"):
            value = getattr(self, key)
            if scrubbed(value) != value:
                raise WrongValueError(key, "must not contain an identity number")
            if not value.isprintable():
                raise WrongValueError(key, "one line of visible characters")


class InsertCard(Strict):
    """Put a card of the cast into a simulated reader."""

    card: Annotated[str, whole(r"[!-~]{1,64}")]


class AskPairing(Strict):
    """Who asks to be paired, in which version, and what it wants to do. `client` is the
    name that the operator sees, and the client's id from then on; the same name again
    takes the place of the earlier pairing."""

    client: ClientId
    scopes: Annotated[
        list[Pairable],
        Meta(min_length=1, max_length=5),
    ]
    version: Annotated[str, whole(r"[!-~]{1,40}")] | None = None

    def __post_init__(self) -> None:
        if self.client in RESERVED:
            raise WrongValueError("client", "another name, please")


class ApprovePairing(Strict):
    """The code that the client shows: six digits, typed by whoever approves it."""

    code: Annotated[str, whole(r"[0-9]{6}")]


class SayHello(Strict):
    """Prove that you know this client's token. `nonce` is random and new every time: 32
    bytes as hex are fine."""

    client_id: ClientId
    nonce: Annotated[str, whole(r"[0-9A-Za-z_-]{16,128}")]


class MakeCode(Strict):
    """For how many seconds the code is good: as short as whoever opens it can bear."""

    seconds: Annotated[int, Meta(ge=1, le=CODE_SECONDS_AT_MOST)] = CODE_SECONDS


class OpenConsole(Strict):
    """The one-time code from the address that `kaqi console` gave."""

    code: Annotated[str, Meta(max_length=64, extra_json_schema=_SECRET)]

    def __repr__(self) -> str:
        return "OpenConsole()"


class OnePairing(Strict):
    """Which request to be paired."""

    pairing_id: PairingId


class OneClient(Strict):
    """Which client."""

    client_id: ClientId


class AtCommand(Strict):
    """Which of its commands, counted from now on; 1 is the next."""

    at: Annotated[int, Meta(ge=1, le=10_000)] = 1


class Tear(AtCommand):
    """A card that is pulled; with `answer_lost`, once it has obeyed that command."""

    answer_lost: bool = False


class Hang(AtCommand):
    """A card that takes its time; the agent gives it up after five seconds."""

    seconds: Annotated[float, Meta(ge=0, le=600)] = 10.0


class TypeOnReader(Strict):
    """What the holder types on the reader's keypad; null is its cancel key."""

    digits: Digits | None = None

    def __repr__(self) -> str:
        return "TypeOnReader()"


class CentreSays(Strict):
    """The words of a refusal, as the region's profile knows them."""

    code: Annotated[str, Meta(min_length=1, max_length=16)]
    text: Annotated[str, Meta(min_length=1, max_length=200)]


class CentreFault(Strict):
    """One way in which the simulated centre misbehaves: `lose_request` hangs up before
    anything happens, `silence` never answers, `slow` answers after `seconds`, `refuse`
    says no with `words`, `lose_answer`, `error_after_effect` (status 500), `wrong_echo`,
    `truncate`, `oversized` and `nonsense` spoil the answer to what was done, `late` does it
    `seconds` after it hung up, `duplicate` does it twice, `stale` has not heard of any
    activation, `redirect` names another place. `operation` is the end of the path, all when
    empty: card-status, match, activations, activation-status, authenticate. `times` is how
    often, absent for always."""

    fault: Literal[
        "lose_request",
        "lose_answer",
        "late",
        "duplicate",
        "silence",
        "slow",
        "refuse",
        "error_after_effect",
        "wrong_echo",
        "truncate",
        "oversized",
        "stale",
        "redirect",
        "nonsense",
    ]
    operation: Annotated[str, whole(r"[a-z-]{0,40}")] = ""
    times: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    seconds: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    words: CentreSays | None = None


class CentreFaults(Strict):
    """How the simulated centre is from now on; the first fault that fits a request strikes
    it. None: it works."""

    faults: Annotated[list[CentreFault], Meta(max_length=20)]


class OneTransaction(Strict):
    """Which transaction."""

    transaction_id: TransactionId


class Snapshot(OneTransaction):
    """With `wait` (seconds) and `after_seq`, the answer comes as soon as the transaction
    has another `seq`."""

    wait: Annotated[float, Meta(ge=0, le=WAIT_MAX_SECONDS)] = 0
    after_seq: Annotated[int, Meta(ge=0)] | None = None


class Chosen(Strict):
    """Which transactions. `since` is the first moment (RFC 3339, with its offset) at which
    they may have been asked for; `unacknowledged` means those whose client has not said
    that it knows how they ended, also of earlier runs of the agent."""

    pos_ref: Annotated[str, Meta(max_length=64)] | None = None
    state: Annotated[str, Meta(max_length=32)] | None = None
    since: Moment | None = None
    unacknowledged: bool = False

    def __post_init__(self) -> None:
        try:
            datetime.fromisoformat(self.since or _ANY_DAY)
        except ValueError:
            raise WrongValueError("since", "no such moment") from None

    def takes(self, pos_ref: str | None, state: str, received_at: str) -> bool:
        """Whether a transaction like this is one of them."""
        received = datetime.fromisoformat(received_at)
        return (
            self.pos_ref in (None, pos_ref)
            and self.state in (None, state)
            and (self.since is None or datetime.fromisoformat(self.since) <= received)
        )


class OneActivation(Strict):
    """Which durable record."""

    intent_id: IntentId


class Newest(Strict):
    """How many, and which: those older than the record `before`; those whose `pos_ref` has
    this part, in large or small letters; only those that are `unfinished`."""

    limit: Annotated[int, Meta(ge=1, le=LIST_MAX)] = 50
    before: IntentId | None = None
    pos_ref: Annotated[str, Meta(max_length=64)] | None = None
    unfinished: bool = False

    @property
    def wanted(self) -> Wanted:
        """The same for the service."""
        return Wanted(
            limit=self.limit,
            before=self.before,
            pos_ref=self.pos_ref,
            unfinished=self.unfinished,
        )


class OneReader(Strict):
    """Which reader."""

    reader_id: ReaderId


class OneStay(Strict):
    """One stay of one card."""

    insertion_id: ReaderId
