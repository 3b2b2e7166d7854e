"""`kaqi simulate`: the cast's cards behind the real resource manager, moved from a prompt.
Other programs on this machine see them as real readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drivers.ports import SimulatedDesk
from plugin.commands import screen

HELP = """\
  cards             the cards on the table      桌上的卡
  in CARD [1|2]     put a card in a reader      插卡
  out [1|2]         take the card out           取卡
  help, quit"""


def run(
    hand: SimulatedDesk, environment: Mapping[str, str], typed: Iterable[str]
) -> int:
    """Obey every line of `typed` until it ends or says quit."""
    for name, value in environment.items():
        screen.line(f"export {name}={value}")
    for number, reader in enumerate(hand.readers(), start=1):
        screen.line(f"  {number}  {reader}")
    screen.line(HELP)
    for line in typed:
        words = line.split()
        if words[:1] == ["quit"]:
            break
        if words:
            screen.line(obey(hand, words))
    return 0


def obey(hand: SimulatedDesk, words: list[str]) -> str:
    """Carry out one line; returns what to say about it."""
    try:
        match words:
            case ["cards"]:
                return "\n".join(f"  {name}" for name in hand.cards())
            case ["in", card]:
                return _insert(hand, card, "1")
            case ["in", card, number]:
                return _insert(hand, card, number)
            case ["out"]:
                return _remove(hand, "1")
            case ["out", number]:
                return _remove(hand, number)
            case _:
                return HELP
    except LookupError as unknown:
        return f"? {unknown}"
    except (ValueError, OSError) as failed:
        return f"! {failed}"


def _insert(hand: SimulatedDesk, card: str, number: str) -> str:
    hand.insert(card, _reader(hand, number))
    return f"  {card} -> {number}"


def _remove(hand: SimulatedDesk, number: str) -> str:
    hand.remove(_reader(hand, number))
    return f"  {number} -> -"


def _reader(hand: SimulatedDesk, number: str) -> str:
    readers = hand.readers()
    if not number.isdecimal() or not 1 <= int(number) <= len(readers):
        raise LookupError(f"1..{len(readers)}")
    return readers[int(number) - 1]
