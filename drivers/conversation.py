"""Carrying commands to a card: the only loops between a procedure and a reader."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from drivers.errors import CardProtocolError
from drivers.iso7816.apdu import CommandApdu, ResponseApdu
from drivers.iso7816.exchange import follow_up
from drivers.ports import CardConnection

MAX_COMMANDS = 64
MAX_DATA = 65_536
MAX_LENGTH_CORRECTIONS = 1

Result = TypeVar("Result")
Procedure = Generator[CommandApdu, ResponseApdu, Result]
"""A reading procedure: yields commands, is sent answers, returns what it found out."""


class EndlessResponseError(CardProtocolError):
    """The card wanted ever more commands for one answer."""


def exchange(card: CardConnection, command: CommandApdu) -> ResponseApdu:
    """Send one command, fetch all of its answer (61xx) and correct its length (6Cxx) once.

    Raises EndlessResponseError past 64 commands, 64 KiB or one correction.
    """
    collected = b""
    corrections = 0
    for _ in range(MAX_COMMANDS):
        response = card.transmit(command)
        corrections += response.sw.sw1 == 0x6C
        collected += response.data
        following = follow_up(command, response)
        if following is None:
            return ResponseApdu(collected, response.sw)
        if corrections > MAX_LENGTH_CORRECTIONS or len(collected) > MAX_DATA:
            break
        command = following
    raise EndlessResponseError(f"{command} was not answered within bounds")


def converse(card: CardConnection, procedure: Procedure[Result]) -> Result:
    """Run a procedure against a card, to its result or its error.

    Other programs are kept off the card meanwhile. Raises what the procedure raises about
    the card, and DriverError when the card cannot be asked.
    """
    with card.exclusively():
        try:
            command = next(procedure)
            while True:
                command = procedure.send(exchange(card, command))
        except StopIteration as finished:
            result: Result = finished.value
            return result
        finally:
            procedure.close()
