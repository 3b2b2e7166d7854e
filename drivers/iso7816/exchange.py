"""What a card's answer asks us to send next (ISO 7816-4, 5.6 and 11.7.1)."""

from __future__ import annotations

from msgspec.structs import replace

from drivers.iso7816.apdu import GET_RESPONSE, CommandApdu, ResponseApdu


def follow_up(sent: CommandApdu, got: ResponseApdu) -> CommandApdu | None:
    """The command the card is waiting for, or None when it has said everything.

    61xx wants GET RESPONSE, always with CLA 00; 6Cxx wants the same command with the
    length it names. SW2 = 00 stands for 256 in both.
    """
    match got.sw.sw1:
        case 0x61:
            return CommandApdu(
                cla=0x00, ins=GET_RESPONSE, p1=0, p2=0, ne=got.sw.sw2 or 256
            )
        case 0x6C:
            return replace(sent, ne=got.sw.sw2 or 256)
        case _:
            return None
