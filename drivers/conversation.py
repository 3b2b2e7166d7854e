"""Carrying commands to a card: the only loops between a procedure and a reader."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from msgspec import Struct

from drivers.errors import CardProtocolError
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.exchange import follow_up
from drivers.iso7816.status_word import SUCCESS
from drivers.ports import CardConnection

MORE_DATA = 0x61
MAX_COMMANDS = 64
MAX_DATA = 65_536
MAX_LENGTH_CORRECTIONS = 1

Result = TypeVar("Result")


class Errand(Struct, frozen=True):
    """Something a procedure needs that its card cannot do: whoever runs the procedure does
    it, and sends back the result or throws the error in."""


Procedure = Generator[CommandApdu | Errand, Any, Result]
"""A reading procedure: yields commands and errands, is sent responses and results, returns
what it found out."""
Runner = Callable[[Errand], object]


class UnknownErrandError(Exception):
    """Nobody here does this errand."""


class EndlessResponseError(CardProtocolError):
    """The card wanted ever more commands for one answer."""


def exchange(card: CardConnection, command: CommandApdu) -> ResponseApdu:
    """Send one command, fetch all of its answer (61xx) and correct its length (6Cxx) once.
    What a command without Ne could fetch stays on the card: it has succeeded.

    Raises EndlessResponseError past 64 commands, 64 KiB or one correction.
    """
    collected = b""
    corrections = 0
    for _ in range(MAX_COMMANDS):
        response = card.transmit(command)
        if command.ne is None and response.sw.sw1 == MORE_DATA:
            return ResponseApdu(collected, SUCCESS)
        corrections += response.sw.sw1 == 0x6C
        collected += response.data
        if corrections > MAX_LENGTH_CORRECTIONS or len(collected) > MAX_DATA:
            break
        following = follow_up(command, response)
        if following is None:
            return ResponseApdu(collected, response.sw)
        command = following
    raise EndlessResponseError(f"{command} was not answered within bounds")


def nobody(errand: Errand) -> object:
    """Runs no errands."""
    raise UnknownErrandError(type(errand).__name__)


def converse(
    card: CardConnection, procedure: Procedure[Result], run: Runner = nobody
) -> Result:
    """Run a procedure against a card, to its result or its error; `run` does its errands.

    Other programs are kept off the card meanwhile. Raises what the procedure raises about
    the card, and DriverError when the card cannot be asked.
    """
    with card.exclusively():
        try:
            wanted = next(procedure)
            while True:
                match wanted:
                    case CommandApdu():
                        wanted = procedure.send(exchange(card, wanted))
                    case _:
                        wanted = after(wanted, procedure, run)
        except StopIteration as finished:
            result: Result = finished.value
            return result
        finally:
            procedure.close()


def after(
    errand: Errand, procedure: Procedure[Result], run: Runner
) -> CommandApdu | Errand:
    """What the procedure wants once its errand is done, or has failed."""
    try:
        done = run(errand)
    except Exception as failed:  # noqa: BLE001 - the procedure knows what it means
        return procedure.throw(failed)
    return procedure.send(done)
