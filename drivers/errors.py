"""What can go wrong between us and a card: one tree, one class a cause.

The docstring of each class is the sentence a person sees when nothing better is at hand;
`code` is its name in the catalogue of problems. A card that answers "no" is not here: that
is a status word. These are for "we could not ask".
"""

from __future__ import annotations

from typing import ClassVar


class DriverError(Exception):
    """The reader or the card did not do what was asked."""

    code: ClassVar[str] = "reader.failed"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or type(self).__doc__)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash((type(self), str(self)))


class NoServiceError(DriverError):
    """The smart-card service is not running."""

    code = "pcsc.unavailable"


class ServiceSilentError(DriverError):
    """The smart-card service is there and does not answer."""

    code = "pcsc.silent"


class NoReaderError(DriverError):
    """No reader is connected."""

    code = "reader.none"


class ReaderGoneError(DriverError):
    """The reader was unplugged."""

    code = "reader.gone"


class ReaderInUseError(DriverError):
    """Another program holds the reader or the card."""

    code = "reader.in_use_by_other"


class ReaderTimeoutError(DriverError):
    """The reader did not answer in time."""

    code = "reader.timeout"


class PortGoneError(DriverError):
    """The serial port of the reader is not there, or has gone."""

    code = "reader.port_gone"


class PortBusyError(DriverError):
    """Another program has the serial port of the reader."""

    code = "reader.port_busy"


class PortForbiddenError(DriverError):
    """We may not open the serial port of the reader."""

    code = "reader.port_forbidden"


class NotAReaderError(DriverError):
    """What is on the serial port does not answer as a reader."""

    code = "reader.not_answering"


class NoisyLineError(DriverError):
    """What comes from the reader over the serial line is garbled."""

    code = "reader.line_noise"


class RefusedFramesError(DriverError):
    """The reader understands nothing of what is sent over the serial line."""

    code = "reader.line_refused"


class LostEchoError(DriverError):
    """The reader no longer repeats what it hears over the serial line."""

    code = "reader.line_echo_lost"


class NoCardError(DriverError):
    """There is no card in the reader."""

    code = "card.absent"


class MuteCardError(DriverError):
    """The card does not answer: it may be upside down, dirty or broken."""

    code = "card.mute"


class CardRemovedError(DriverError):
    """The card was taken out while it was being read."""

    code = "card.removed"


class CardResetError(DriverError):
    """Another program reset the card while it was being read."""

    code = "card.reset_by_other"


class ForeignProtocolError(DriverError):
    """The card speaks only a protocol that this reader's driver does not."""

    code = "card.unsupported"


class SwipeError(DriverError):
    """The magnetic stripe could not be read."""

    code = "card.swipe_failed"


class CardProtocolError(DriverError):
    """The card answered something that is not an answer."""

    code = "card.protocol_error"


class NoKeypadError(DriverError):
    """The reader has no keypad for this."""

    code = "reader.no_keypad"


class PinEntryError(DriverError):
    """No PIN was typed on the reader; the card was not asked and no try was spent."""

    code = "pin.cancelled"


class PinCancelledError(PinEntryError):
    """The PIN entry was cancelled on the reader."""


class PinTimeoutError(PinEntryError):
    """Nobody typed a PIN on the reader in time."""

    code = "pin.entry_timeout"


class PinLengthError(PinEntryError):
    """The PIN typed on the reader is too short or too long."""

    code = "pin.length"


class PinMismatchError(PinEntryError):
    """The new PIN was typed differently the second time."""

    code = "pin.confirmation_mismatch"
