"""What holds of all events of one agent, whatever happened to it."""

from __future__ import annotations

from collections.abc import Iterable

from plugin.agent.happenings import Happening

ENDS = frozenset({"succeeded", "failed", "cancelled", "expired"})
ABOUT_AN_END = frozenset({"transaction.acknowledged", "transaction.unacknowledged"})


def mistakes(told: Iterable[Happening]) -> list[str]:
    """Numbers that do not grow, a transaction that did not complete exactly once when it
    ended, or of which something was told after that."""
    found: list[str] = []
    last = 0
    ended: dict[str, int] = {}
    state: dict[str, object] = {}
    for event in told:
        if event.id <= last:
            found.append(f"{event.id} after {last}")
        last = event.id
        about_one = event.subject.startswith("transactions/")
        if not about_one or event.type in ABOUT_AN_END:
            continue
        if event.subject in ended:
            found.append(f"{event.subject}: {event.type} after its end")
        state[event.subject] = event.data["state"]
        if event.type == "transaction.completed":
            ended[event.subject] = ended.get(event.subject, 0) + 1
    return found + [
        f"{subject} is {now} and not completed"
        for subject, now in state.items()
        if now in ENDS and subject not in ended
    ]
