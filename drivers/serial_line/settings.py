"""A serial port as the operator describes it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from drivers.serial_line.magstripe import Lrc


class PortKind(StrEnum):
    """What is on the line."""

    CCID = "ccid"  # a chip card reader, framed as GemPC Twin
    TRACKS = "tracks"  # a reader of magnetic stripes


class SerialPort(Struct, frozen=True, kw_only=True):
    """`port` is the system's name of it (`COM3`, `/dev/ttyUSB0`); `name` is ours, made from
    it where none is given. `keypad`: the reader can take a PIN itself. `lrc` is for
    tracks."""

    kind: PortKind
    port: str
    name: str = ""
    baud: int = 0
    stop_bits: int = 0
    keypad: bool = False
    lrc: Lrc = Lrc.OPTIONAL

    @property
    def shown_name(self) -> str:
        """The name its directory lists it under."""
        return self.name or f"{_NAMES[self.kind]} {self.port.rpartition('/')[2]}"

    @property
    def speed(self) -> tuple[int, int]:
        """Bits a second, and stop bits: as set, or as such readers leave the factory."""
        baud, stop_bits = _USUAL[self.kind]
        return self.baud or baud, self.stop_bits or stop_bits


_NAMES = {PortKind.CCID: "Serial reader", PortKind.TRACKS: "Track reader"}
_USUAL = {PortKind.CCID: (115_200, 2), PortKind.TRACKS: (9_600, 1)}
