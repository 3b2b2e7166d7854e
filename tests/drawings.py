"""The README's pictures, drawn from the code: the map of the rooms and the two state
diagrams. `python -m tests.drawings` renews them; a test compares."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from plugin.activation import desk, journey, saga
from plugin.activation.desk import Clock, Desk, Slot
from plugin.activation.pins import Typed
from plugin.activation.problem import Problem, Refusal
from plugin.activation.region import (
    ActivationBy,
    NewPin,
    OldPin,
    PinPolicy,
    Role,
    Scenario,
)
from plugin.activation.rules import Standing
from plugin.activation.saga import (
    Abilities,
    Activation,
    ActivationState,
    Confirmation,
    Dedupe,
    Origin,
)
from plugin.card.pin import Accepted, Blocked, NotSet, Unanswered, Wrong
from tests.unit.worlds import INACTIVE, medical, social_security, terms

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
NAME = "a" * 64
YES, NO = Confirmation(by="answer"), Refusal()
ORIGIN = Origin(
    intent_id="i",
    client_id="c",
    scenario="pharmacy",
    institution="h",
    profile="p",
)
CLASSES = (
    Abilities(dedupe=Dedupe.ID, can_tell_status=True),
    Abilities(dedupe=Dedupe.CARD, can_tell_status=True),
    Abilities(dedupe=Dedupe.DUPLICATE_CODE),
    Abilities(),
)
PINS = PinPolicy(old=OldPin.IF_SET, new=NewPin.SET)
Edges = dict[tuple[str, str], set[str]]


def rooms() -> str:
    """Every package and the files at the top of the three, by their door signs."""
    lines = []
    for package in ("plugin", "drivers", "simulator"):
        lines.append(f"{package + '/':26}{_sign(ROOT / package / '__init__.py')}")
        for path in sorted((ROOT / package).iterdir()):
            if (path / "__init__.py").exists():
                sign = _sign(path / "__init__.py")
                lines.append(f"  {path.name + '/':24}{sign}")
            elif path.suffix == ".py" and path.name != "__init__.py":
                lines.append(f"  {path.name:24}{_sign(path)}")
    return "\n".join(["```", *lines, "```"])


def _sign(file: Path) -> str:
    """The first sentence on a room's door."""
    sign = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    first = sign.split("\n\n", maxsplit=1)[0].replace("\n", " ")
    return first.split(". ")[0].rstrip(".")


@cache
def saga_diagram() -> str:
    """Every transition of an activation, found by trying every event in every state."""
    edges: Edges = defaultdict(set)
    for abilities in CLASSES:
        seen: set[str] = set()
        todo = [Activation(origin=ORIGIN)]
        while todo:
            record = todo.pop()
            key = repr(replace(record, tries=0))
            if key in seen:
                continue
            seen.add(key)
            for event in _saga_events(record):
                for now in (10**6, saga.PATIENCE_MS + 10**7):
                    after = saga.step(record, event, now, abilities).record
                    if after.sends > 3 or after.tries > 3:
                        continue
                    if after.state is not record.state:
                        pair = record.state.value, after.state.value
                        edges[pair].add(type(event).__name__)
                    todo.append(after)
    ends = [state.value for state in saga.TERMINAL]
    return _mermaid(ActivationState.RECEIVED.value, edges, ends)


def _saga_events(record: Activation) -> Iterable[saga.Event]:
    yield saga.CardAsked(saga.CardStep.CHANGING)
    yield saga.CardAsked(saga.CardStep.CHANGING, activates="r")
    yield saga.CardKept()
    yield from (saga.Settled(_settlement(verdict)) for verdict in saga.Verdict)
    yield saga.CardsAccepted(card_ref="r", attempt=1, activation_id=NAME, message=b"{}")
    yield saga.FoundActive(YES)
    yield saga.Dropped("cancelled")
    yield saga.Accepted(NAME, YES)
    yield saga.Refused(NAME, NO, record.sends)
    yield saga.NotFound(NAME, 10**6)
    yield saga.NotFound(NAME, 10**7)
    yield saga.NoAnswer(NAME)
    yield saga.NoAnswer(NAME, record.sends)
    yield saga.TimerRang()
    yield saga.Restarted()


def _settlement(verdict: saga.Verdict) -> saga.Settlement:
    return saga.Settlement(
        verdict=verdict, reason="", operator_ref="", client_id="", at=""
    )


@cache
def desk_diagram() -> str:
    """Every transition of a transaction but three that are everywhere: said below it."""
    edges: Edges = defaultdict(set)
    seen: set[str] = set()
    todo = [
        journey.begin(terms(scenario, pin=policy, by=by), slots).desk
        for scenario in (Scenario.PHARMACY, Scenario.OUTPATIENT_REGISTRATION)
        for slots in ((), (Slot("r1"),))
        for policy, by in (
            (PinPolicy(), ActivationBy.CENTRE),
            (PINS, ActivationBy.CENTRE),
            (PINS, ActivationBy.PIN_CHANGE),
            (PinPolicy(), ActivationBy.REGISTRATION),
        )
    ]
    while todo:
        now = todo.pop()
        if (key := _desk_key(now)) in seen:
            continue
        seen.add(key)
        for event in _desk_events(now):
            after = journey.step(now, event).desk
            if after.state.name != now.state.name:
                edges[now.state.name, after.state.name].add(type(event).__name__)
            todo.append(after)
    everywhere = {"CancelAsked", "ClockRanOut", "Stumbled"}
    kept = {
        pair: names - everywhere for pair, names in edges.items() if names - everywhere
    }
    ends = [kind.name for kind in (desk.Succeeded, desk.Failed)]
    below = [
        f"`{event}` leads to `{end}` from "
        + ", ".join(
            sorted(f"`{a}`" for (a, b), n in edges.items() if b == end and event in n)
        )
        + "."
        for event in sorted(everywhere)
        for end in sorted({b for (_, b), names in edges.items() if event in names})
    ]
    return "\n\n".join([_mermaid("[*]", kept, ends, _beginnings()), *below])


def _beginnings() -> list[str]:
    return ["waiting_reader", "waiting_card", "waiting_removal", "reading"]


def _desk_key(now: Desk) -> str:
    facts = now.facts
    return repr(
        (
            _place(now.state),
            facts.terms.scenario,
            facts.terms.rules.activation_by,
            (facts.torn, facts.changed, facts.registered),
            facts.slots,
            sorted(facts.seen),
            [facts.slot_of(role) is None for role in Role],
            facts.medical is None,
            facts.social_security is None,
            facts.same_person,
            facts.status,
            facts.confirmed,
            facts.problem,
            facts.terms.profile.pin,
            len(facts.settled),
        )
    )


def _place(state: desk.State) -> object:
    """A state without what makes no difference to the picture."""
    match state:
        case desk.WaitingPin(wanted):
            return wanted.role
        case desk.PinAtWork(wanted, leaving=leaving):
            return wanted.role, leaving
        case _:
            return state


def _desk_events(now: Desk) -> Iterable[desk.Event]:
    yield from _slot_events()
    if isinstance(now.state, desk.Reading):
        stay = now.state.slot.insertion_id or ""
        yield desk.CardRead(stay, medical())
        yield desk.CardRead(stay, social_security())
        yield desk.ReadFailed(stay, Problem("card.unsupported"))
    yield desk.Matched(same_person=True)
    yield desk.Matched(same_person=False)
    for standing in (Standing.INACTIVE, Standing.ACTIVE, Standing.LOST):
        yield desk.StatusTold(replace(INACTIVE, standing=standing))
    yield desk.CentreSilent(Problem("centre.timeout"))
    yield desk.ConfirmAsked()
    yield from _pin_events(now)
    yield desk.ContinueAsked()
    yield desk.CancelAsked()
    yield from (desk.ClockRanOut(clock) for clock in Clock)
    yield desk.NotBegun(Problem("agent.journal_failed"))
    yield desk.Stumbled(Problem("agent.failed"))
    for state in (
        ActivationState.SENDING,
        ActivationState.UNKNOWN,
        ActivationState.MANUAL,
        ActivationState.ACTIVE,
        ActivationState.REJECTED,
    ):
        yield desk.ActivationMoved(Activation(origin=ORIGIN, state=state))


def _pin_events(now: Desk) -> Iterable[desk.Event]:
    yield desk.PinGiven(Typed(pin="135792", new_pin="246813"))
    yield desk.PinGiven(Typed(pin="135792"))
    if isinstance(now.state, desk.PinAtWork):
        stay = now.state.slot.insertion_id or ""
        yield from (
            desk.PinAnswered(stay, each)
            for each in (Accepted(), Wrong(5), Blocked(), NotSet(), Unanswered())
        )
        yield desk.PinNotPresented(stay, Problem("card.removed"))


def _slot_events() -> Iterable[desk.Event]:
    yield desk.SlotsChanged(())
    for slots in (
        (Slot("r1"),),
        (Slot("r1", "a"),),
        (Slot("r1", "b"),),
        (Slot("r1", "a", left_behind=True),),
        (Slot("r1", "a"), Slot("r2", "b")),
    ):
        yield desk.SlotsChanged(slots)


def _mermaid(
    start: str, edges: Edges, ends: list[str], beginnings: Iterable[str] = ()
) -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {each}" for each in beginnings or [start]]
    lines += [
        f"    {before} --> {after}: {' / '.join(sorted(names))}"
        for (before, after), names in sorted(edges.items())
    ]
    lines += [f"    {end} --> [*]" for end in sorted(ends)]
    return "\n".join([*lines, "```"])


DRAWINGS: dict[str, Callable[[], str]] = {
    "rooms": rooms,
    "transaction": desk_diagram,
    "activation": saga_diagram,
}


def renewed(readme: str) -> str:
    """The README with every picture as the code is now."""
    for name, draw in DRAWINGS.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        head, _, rest = readme.partition(begin)
        _, _, tail = rest.partition(end)
        assert tail, f"the README has no place for {name}"
        readme = head + begin + draw() + end + tail
    return readme


def main() -> None:
    """Renew the README."""
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"renewed {README.name}\n")


if __name__ == "__main__":
    main()
