"""What clients are answered. Names and meanings are a contract with every POS vendor:
fields are only ever added.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from plugin.agent.views import CardShown, Holder


class Texts(Struct, frozen=True, kw_only=True):
    """One sentence in both languages."""

    chinese: str = field(name="zh-CN")
    english: str = field(name="en")


class Remedies(Struct, frozen=True, kw_only=True):
    """Steps in both languages."""

    chinese: list[str] = field(name="zh-CN")
    english: list[str] = field(name="en")


class Stop(Struct, frozen=True, kw_only=True):
    """One stop of a way: where, what is done there, and what to take along. Where the
    region lets somebody else go for the holder, `proxy_documents` are what that person
    takes; else they are empty."""

    place: Texts
    what: Texts
    documents: list[Texts]
    proxy_documents: list[Texts]


class Way(Struct, frozen=True, kw_only=True):
    """One way to an active card for somebody who cannot have it activated here and now: its
    stops in their order. The keys are those of the guidance and of the region."""

    key: str
    stops: list[Stop]


class CentreWords(Struct, frozen=True, kw_only=True):
    """The centre's own words, without personal data."""

    code: str
    text: str


class Problem(Struct, frozen=True, kw_only=True):
    """RFC 9457. Branch on `code` only; `vendor_code` is the number of the terminal
    specification, where it has one. `way_back` lists alternatives, the best first, and is
    empty where the problem has none; `remedy` says what to do in plain words, step by step,
    and these ways at its end, one line for every stop. A refused request may carry more members:
    `errors`, `allowed_actions`, `transaction`, `retry_after`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    category: str
    retry: str
    action: str
    messages: Texts
    remedy: Remedies
    way_back: list[Way]
    centre: CentreWords | None
    vendor_code: int | None
    trace_id: str


class Expectation(Struct, frozen=True, kw_only=True):
    """What the agent is waiting for; a registration is made elsewhere, and then continued
    here. Of a PIN also: whether it is verified or a new one is
    set, whether it is typed on the reader's keypad, how many digits, how many tries are left
    (null where that is not known or not shown), and whether a wrong one blocks the card."""

    what: Literal["reader", "card", "removal", "confirmation", "pin", "registration"]
    role: str | None
    entry: Literal["verify", "new"] | UnsetType = UNSET
    on_reader: bool | UnsetType = UNSET
    digits_min: int | UnsetType = UNSET
    digits_max: int | UnsetType = UNSET
    tries_left: int | UnsetType | None = UNSET
    last_try: bool | UnsetType = UNSET


class Step(Struct, frozen=True, kw_only=True):
    """The one large instruction of this moment."""

    key: str
    text: Texts


class Confirmation(Struct, frozen=True, kw_only=True):
    """How it is known that the card is active: `by` an answer, a status or the card's
    status; `adopted` when another till or channel did it."""

    by: str
    adopted: bool
    since: str | None
    channel: str | None
    receipt_no: str | None


class Receipt(Struct, frozen=True, kw_only=True):
    """What can be printed; the holder is masked."""

    text: Texts


class Result(Struct, frozen=True, kw_only=True):
    """What is known so far: the reading as soon as there is one, the outcome at the end."""

    outcome: str | None
    holder: Holder | None
    holder_masked: Holder | None
    card: CardShown | None
    activation: str | None
    activation_id: str | None
    confirmation: Confirmation | None
    completed_at: str | None
    receipt: Receipt | None


class Transaction(Struct, frozen=True, kw_only=True):
    """One transaction at one moment; `seq` changes whenever anything else does.
    `acknowledged` says that its client knows how it has ended, or need not say so."""

    id: str
    kind: str
    scenario: str
    seq: int
    state: str
    role: str | None
    reader: str | None
    step: Step
    expects: Expectation | None
    clock: str | None
    deadline: str | None
    allowed_actions: list[str]
    cancellable: bool
    acknowledged: bool
    commit: Literal["none", "committing", "committed", "unknown"]
    problem: Problem | None
    notices: list[Problem]
    result: Result | None
    pos_ref: str | None
    operator_ref: str | None
    institution: str
    profile: str
    test_data: bool
    received_at: str
    trace_id: str


class Transactions(Struct, frozen=True, kw_only=True):
    """A list."""

    transactions: list[Transaction]


class Settlement(Struct, frozen=True, kw_only=True):
    """Who settled it, when, how and why."""

    verdict: Literal["active", "rejected"]
    reason: str
    operator_ref: str
    at: str


class Activation(Struct, frozen=True, kw_only=True):
    """The durable record of one card's activation. `sent_as` is what the centre's people
    find the message by, `sent_at` when it was last sent; `next_try_at` when the agent asks
    or sends again by itself, where that is known; `needs_a_person` that it waits to be
    settled."""

    id: str
    state: str
    activation_id: str | None
    attempt: int
    sends: int
    transaction: str
    scenario: str
    pos_ref: str | None
    operator_ref: str | None
    institution: str
    profile: str
    test_data: bool
    received_at: str
    changed_at: str
    confirmation: Confirmation | None
    refusal: CentreWords | None
    problem: Problem | None
    superseded_by: str | None
    sent_as: str | None
    sent_at: str | None
    next_try_at: str | None
    needs_a_person: bool
    settlement: Settlement | None
    trace_id: str


class Activations(Struct, frozen=True, kw_only=True):
    """A list, the newest first; `next` is the `before` of the page that follows, null where
    nothing older is left."""

    activations: list[Activation]
    next: str | None


class CardInReader(Struct, frozen=True, kw_only=True):
    """One stay of one card, its role once it has been read (the old card or the new), and
    whether the transaction at this reader has accepted it."""

    insertion_id: str
    left_behind: bool
    role: Literal["medical", "social_security"] | None
    accepted: bool


class Reader(Struct, frozen=True, kw_only=True):
    """One reader. `last_problem` is the code of `problem`, which the last card or the reader
    itself had since `problem_since`; `transaction` the one that may use it now."""

    id: str
    name: str
    transport: str
    role: Literal["patient", "psam"]
    state: Literal["ready", "busy", "in_use_by_other", "faulted"]
    slot: Literal["empty", "present", "mute", "swiped"]
    card: CardInReader | None
    last_problem: str | None
    problem: Problem | None
    problem_since: str | None
    transaction: str | None


class Readers(Struct, frozen=True, kw_only=True):
    """Every reader, and why some cannot be asked."""

    readers: list[Reader]
    problems: list[Problem]


class TestedCard(Struct, frozen=True, kw_only=True):
    """What kind of card was read: the version of its specification, where it says one, and
    the codes of what is odd about it. Nothing of what stands on it."""

    role: Literal["medical", "social_security"]
    kind: str
    warnings: list[str]


class SelfTest(Struct, frozen=True, kw_only=True):
    """Whether a card could be read, which kind it is, and how long that took; `card` is null
    when there is none, or when it was not read, with the `problem`."""

    ok: bool
    reader: Reader
    card: TestedCard | None
    problem: Problem | None
    milliseconds: int


class Presence(Struct, frozen=True, kw_only=True):
    """Whether the card of one stay is still in its reader."""

    present: bool


class CatalogueEntry(Struct, frozen=True, kw_only=True):
    """One problem the agent can name, with the ways out of it in this region."""

    code: str
    http: int
    category: str
    retry: str
    action: str
    messages: Texts
    remedy: Remedies
    way_back: list[Way]


class CatalogueList(Struct, frozen=True, kw_only=True):
    """All of them."""

    errors: list[CatalogueEntry]


class Check(Struct, frozen=True, kw_only=True):
    """One thing that must be in order, and what people call it (`title`): whether
    transactions need it, what was found (`detail`, for people), and when it was first seen
    to be as it is now."""

    name: str
    title: Texts
    ok: bool
    required: bool
    detail: str
    since: str | None
    problem: Problem | None


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether transactions can be carried out now."""

    ready: bool
    checks: list[Check]


class RegionStep(Struct, frozen=True, kw_only=True):
    """One moment at the counter: its `step.key`, who must act (`actor`, by name `who`), what
    is done, and what everybody reads meanwhile."""

    key: str
    actor: str
    who: Texts
    does: Texts
    reads: Texts


class RegionDetour(Struct, frozen=True, kw_only=True):
    """What is to be done besides after so many steps."""

    after: int
    steps: list[RegionStep]


class RegionEnd(Struct, frozen=True, kw_only=True):
    """How it can end otherwise: with which problem, if it is one, and where the holder goes
    then. One that is not `final` goes on without the holder."""

    key: str
    code: str | None
    says: Texts
    way_back: Remedies
    final: bool


class RegionWay(Struct, frozen=True, kw_only=True):
    """How one scenario usually goes, with two readers; what one reader adds to that; what
    makes the card active; what happens when an answer is lost; and every other end."""

    kind: str
    scenario: str
    activation_by: str
    place: Texts
    name: Texts
    steps: list[RegionStep]
    one_reader: list[RegionDetour]
    by: Texts
    lost: Texts
    ends: list[RegionEnd]


class Region(Struct, frozen=True, kw_only=True):
    """The region's rules in plain words: the scenarios of this kind of institution, and what
    holds for all of them."""

    id: str
    version: str
    name: Texts
    ways: list[RegionWay]
    pins: list[Texts]
    windows: list[Texts]
    holders: list[Texts]


class Profile(Struct, frozen=True, kw_only=True):
    """The region's rules that are in force."""

    id: str
    version: str


class Agent(Struct, frozen=True, kw_only=True):
    """Which agent this is. `instance_id` is made up at every start: another one means that
    the agent was started anew. `scenarios` are
    what this `institution` (its name) may start. Clients should expect more
    `capabilities`."""

    name: str
    version: str
    api_versions: list[str]
    mode: Literal["production", "simulation"]
    instance_id: str
    institution: str
    region_profile: Profile
    scenarios: list[str]
    capabilities: list[str]


class Count(Struct, frozen=True, kw_only=True):
    """How often something happened since the start."""

    name: str
    labels: dict[str, str]
    value: int


class SettingsShown(Struct, frozen=True, kw_only=True):
    """What is set for this till. Of what is secret only whether it is set."""

    institution: str
    institution_kind: str
    port: int
    origins: list[str]
    centre_address: str | None
    centre_credential: bool
    psam_reader: str | None
    terminal_device: str
    serial: list[str]
    personal_days: int
    record_days: int


class Diagnostics(Struct, frozen=True, kw_only=True):
    """How the agent is: what support asks for first. `activations` are the durable ones
    that have not ended, by state; `disk_free_mib` is null where nobody can say, `log_folder`
    in a bundle, because a path may name somebody."""

    agent: Agent
    python: str
    system: str
    started_at: str
    uptime_s: float
    time: str
    safe_mode: bool
    disk_free_mib: int | None
    log_folder: str | None
    readers: list[Reader]
    problems: list[Problem]
    checks: list[Check]
    activations: dict[str, int]
    counts: list[Count]
    settings: SettingsShown


class PlannedMishap(Struct, frozen=True, kw_only=True):
    """What will happen to a card at the `at`-th command after it was asked for; `seconds`
    is how long one hangs."""

    mishap: str
    at: int
    seconds: float


class SimulatedReader(Struct, frozen=True, kw_only=True):
    """A reader whose cards are moved by request. `slot` is what the agent sees in it (empty,
    present, mute, swiped), `card` the name of the cast's card that is in, `planned` what
    will happen to it or to the next one, `mishaps` what can be planned here; one that
    `has_plug` can be detached; `keypad_asks` says whether its keypad waits for somebody to
    type, null without one."""

    id: str
    name: str
    attached: bool
    slot: str
    card: str | None
    planned: PlannedMishap | None
    mishaps: list[str]
    has_plug: bool
    keypad_asks: bool | None


class CastCard(Struct, frozen=True, kw_only=True):
    """A card that can be put in: whose, what kind (medical, social_security, other) on
    what medium (processor, memory, stripe), what it is there to show, and its PIN. A card
    is made anew whenever it is put in. Everybody is invented."""

    name: str
    person: str | None
    kind: str
    medium: str
    label: Texts
    story: Texts
    pin: str | None


class Cast(Struct, frozen=True, kw_only=True):
    """What a simulation can play with; `cards` are the names of those in `cast`."""

    cards: list[str]
    cast: list[CastCard]
    readers: list[SimulatedReader]
    test_data: Literal[True] = True


class OrderedFault(Struct, frozen=True, kw_only=True):
    """One way in which the simulated centre misbehaves, and how often still."""

    fault: str
    operation: str
    times: int | None
    seconds: float


class CentreActivation(Struct, frozen=True, kw_only=True):
    """One activation that the simulated centre has carried out."""

    activation_id: str
    message_id: str
    institution: str
    receipt_no: str


class CentreBooks(Struct, frozen=True, kw_only=True):
    """What the simulated centre knows: its date, how it misbehaves, what it has activated,
    and how many requests came to each operation."""

    today: str
    faults: list[OrderedFault]
    activations: list[CentreActivation]
    received: dict[str, int]
    test_data: Literal[True] = True


class PairingBegun(Struct, frozen=True, kw_only=True):
    """Show the code, keep the secret, and ask for the pairing every `poll_seconds` with
    `Authorization: Bearer` and the secret, until it is no longer waiting or has expired."""

    id: str
    code: str
    secret: str
    expires_at: str
    expires_in: int
    poll_seconds: int


class PairingSeen(Struct, frozen=True, kw_only=True):
    """How far it is, for the client that asked. The token comes once, in the first answer
    after the approval; from then on the state is `collected`."""

    id: str
    state: Literal["waiting", "approved", "collected", "denied", "expired"]
    client_id: str
    scopes: list[str]
    expires_at: str
    token: str | None


class Pairing(Struct, frozen=True, kw_only=True):
    """One request to be paired, for whoever decides about it. `origin` is the web page's it
    came from, null where it was no browser; `replaces` that a client of this name is paired
    already, and will be void; `tries_left` how many more wrong codes there may be."""

    id: str
    client: str
    version: str | None
    scopes: list[str]
    origin: str | None
    state: Literal["waiting", "approved", "collected", "denied", "expired"]
    asked_at: str
    expires_at: str
    replaces: bool
    tries_left: int


class Pairings(Struct, frozen=True, kw_only=True):
    """A list, the newest first."""

    pairings: list[Pairing]


class PairedClient(Struct, frozen=True, kw_only=True):
    """Who may call. Its token works in pages of this `origin` only, outside a browser only
    where that is "", and wherever it is used where that is null."""

    id: str
    scopes: list[str]
    origin: str | None
    paired_at: str


class PairedClients(Struct, frozen=True, kw_only=True):
    """A list, by name."""

    clients: list[PairedClient]


class Hello(Struct, frozen=True, kw_only=True):
    """The proof: 64 lower-case hex digits."""

    proof: str


class ConsoleCode(Struct, frozen=True, kw_only=True):
    """A code that opens the console once, and for how many seconds."""

    code: str
    expires_in: int


class ConsoleSession(Struct, frozen=True, kw_only=True):
    """The console's token: to be kept by the page's tab only. It is good for sixteen hours,
    also when the agent is started again, until it is signed out or revoked, or the commands
    on this machine get another token."""

    client_id: str
    token: str
    scopes: list[str]


class Event(Struct, frozen=True, kw_only=True):
    """One event of the stream; refs only, nothing personal."""

    id: int
    type: str
    time: str
    subject: str
    trace_id: str
    data: dict[str, Any]
