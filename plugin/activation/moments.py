"""By what name a moment of a transaction is known: to the POS as `step.key`, to texts/prompts.toml,
and to whoever explains a region."""

from __future__ import annotations

from collections.abc import Mapping

from plugin.activation import desk
from plugin.activation.pins import Entry, Wanted
from plugin.activation.problem import Problem

AT_WORK = "at_work"  # the card has the word
_IN_DOUBT: Mapping[str, str] = {  # what ends a doubt, by the room its problem is from
    "activation": "needs_a_person",
    "card": "card_must_return",
    "pin": "card_must_return",
}
_BROKEN_OFF = frozenset({"agent.restarted", "agent.restarted_at_card"})


def key(state: str, detail: str | None) -> str:
    """The name of a moment."""
    return f"{state}.{detail}" if detail else state


def of(now: desk.Desk) -> str:
    """The same of a transaction at the counter."""
    return key(now.state.name, detail(now.state, now.facts.problem))


def detail(state: desk.State, problem: Problem | None) -> str | None:
    """What tells moments of one state apart: role or outcome; of a doubt what ends it, which
    is in the problem beside it; of a failure whether it was broken off, and refused by nobody;
    of a PIN also which, and where it is typed."""
    match state:
        case desk.WaitingCard(role) | desk.WaitingRemoval(role) | desk.Reading(role):
            return role
        case desk.WaitingPin(wanted):
            return _of_pin(wanted)
        case desk.PinAtWork(wanted, counting=counting):
            typing = wanted.on_reader and not counting
            return _of_pin(wanted) if typing else AT_WORK
        case desk.Succeeded(outcome):
            return outcome
        case desk.InDoubt():
            return _IN_DOUBT.get(problem.code.split(".")[0]) if problem else None
        case desk.Failed(failed):
            return "begin_again" if failed.code in _BROKEN_OFF else None
        case _:
            return None


def _of_pin(wanted: Wanted) -> str:
    new = ".new" if wanted.entry is Entry.NEW else ""
    return f"{wanted.role}{new}{'.reader' if wanted.on_reader else ''}"
