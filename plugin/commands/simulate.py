"""`kaqi simulate`: the cast's cards in simulated readers of any kind, moved from a prompt.
Other programs on this machine see them as real readers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from drivers.ports import CastCard, SimulatedDesk
from plugin.commands import screen, serve
from plugin.commands.serve import Options

HELP = """\
  cards             the cards on the table      桌上的卡
  in CARD [N]       put a card in reader N      插卡（磁条卡为刷卡）
  out [N]           take the card out           取卡
  help, quit"""


def run(hand: SimulatedDesk, seen_through: Iterable[str], typed: Iterable[str]) -> int:
    """Obey every line of `typed` until it ends or says quit; `seen_through` is what other
    programs need to see the readers."""
    for said in seen_through:
        screen.line(said)
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


def beside_an_agent(typed: Iterable[str]) -> int:
    """The same with readers that only an agent in this process sees: it runs meanwhile."""
    with tempfile.TemporaryDirectory(prefix="kaqi-simulate-") as folder:
        options = Options(data=Path(folder), port=0, simulate=True)
        with serve.prepared(options) as serving:
            assert serving.hand is not None  # noqa: S101 - it simulates
            thread = serving.server.run_beside()
            token = serving.folder.operator_token()
            bearer = f"-H 'Authorization: Bearer {token}'"
            said = f"curl {bearer} {serving.address}/v1/readers"
            try:
                return run(serving.hand, [said], typed)
            finally:
                serving.server.stop()
                thread.join()


def obey(hand: SimulatedDesk, words: list[str]) -> str:
    """Carry out one line; returns what to say about it."""
    try:
        match words:
            case ["cards"]:
                return "\n".join(map(_described, hand.cast()))
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


def _described(card: CastCard) -> str:
    label = screen.said({"zh-CN": card.label_zh, "en": card.label_en})
    story = screen.said({"zh-CN": card.story_zh, "en": card.story_en})
    return f"  {card.name:22}  {label}: {story}"


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
