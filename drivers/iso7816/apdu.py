"""Command and response APDUs (ISO 7816-3, 12.1; ISO 7816-4, 5)."""

from __future__ import annotations

from msgspec import Struct

from drivers.iso7816.status_word import StatusWord

SELECT = 0xA4
READ_RECORD = 0xB2
GET_RESPONSE = 0xC0
VERIFY = 0x20
GET_CHALLENGE = 0x84

HEADER_LENGTH = 4
SHORT_NC_MAX = 255
SHORT_NE_MAX = 256
EXTENDED_NC_MAX = 65_535
EXTENDED_NE_MAX = 65_536


class ApduError(ValueError):
    """These bytes are not an APDU."""


class CommandApdu(Struct, frozen=True, kw_only=True):
    """One command. `ne` is the number of bytes wanted back; None means no Le field.

    The four cases of ISO 7816-3, 12.1.1 follow from `data` and `ne`; the short form is
    used wherever it can carry them. A command prints without its data, so that no log
    can leak what it carries.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    ne: int | None = None

    def __post_init__(self) -> None:
        for name in ("cla", "ins", "p1", "p2"):
            if not 0 <= getattr(self, name) <= 0xFF:
                raise ApduError(f"{name} is one byte")
        if len(self.data) > EXTENDED_NC_MAX:
            raise ApduError("a command carries at most 65,535 bytes")
        if self.ne is not None and not 1 <= self.ne <= EXTENDED_NE_MAX:
            raise ApduError("Ne is 1 to 65,536")

    def __bytes__(self) -> bytes:
        extended = len(self.data) > SHORT_NC_MAX or (self.ne or 0) > SHORT_NE_MAX
        width = 2 if extended else 1
        body = b""
        if self.data:
            body = len(self.data).to_bytes(width, "big") + self.data
        if self.ne is not None:
            body += (self.ne % 256**width).to_bytes(width, "big")
        marker = b"\x00" if extended else b""
        return self.header + marker + body

    def __repr__(self) -> str:
        header = self.header.hex(" ").upper()
        return f"<CommandApdu {header} Nc={len(self.data)} Ne={self.ne}>"

    @property
    def header(self) -> bytes:
        """CLA INS P1 P2."""
        return bytes((self.cla, self.ins, self.p1, self.p2))

    @classmethod
    def parse(cls, raw: bytes) -> CommandApdu:
        """The command that encodes to exactly `raw`.

        An APDU does not carry its own length, so the caller's framing must: `raw` is one
        whole command. Raises ApduError when no case of ISO 7816-3, 12.1.3 fits.
        """
        if len(raw) < HEADER_LENGTH:
            raise ApduError("a command has at least four bytes")
        cla, ins, p1, p2 = raw[:HEADER_LENGTH]
        data, ne = _parse_body(raw[HEADER_LENGTH:])
        return cls(cla=cla, ins=ins, p1=p1, p2=p2, data=data, ne=ne)


def _parse_body(body: bytes) -> tuple[bytes, int | None]:
    """The data field and Ne in the bytes behind the header."""
    if not body:
        return b"", None
    if len(body) == 1:
        return b"", body[0] or SHORT_NE_MAX
    if body[0]:
        return _split(body[1:], nc=body[0], width=1)
    if len(body) == 3:
        return b"", int.from_bytes(body[1:], "big") or EXTENDED_NE_MAX
    if len(body) > 3 and (nc := int.from_bytes(body[1:3], "big")):
        return _split(body[3:], nc=nc, width=2)
    raise ApduError("the length field names no case")


def _split(rest: bytes, *, nc: int, width: int) -> tuple[bytes, int | None]:
    data, le = rest[:nc], rest[nc:]
    if len(data) != nc or len(le) not in (0, width):
        raise ApduError("Lc does not agree with the length of the command")
    return data, (int.from_bytes(le, "big") or 256**width) if le else None


class ResponseApdu(Struct, frozen=True):
    """What a card answered: a data field (0 to 65,536 bytes) and the status word."""

    data: bytes
    sw: StatusWord

    def __bytes__(self) -> bytes:
        return self.data + bytes(self.sw)

    def __repr__(self) -> str:
        return f"<ResponseApdu {len(self.data)} bytes, {self.sw}>"

    @classmethod
    def parse(cls, raw: bytes) -> ResponseApdu:
        """The last two bytes are the status word. Raises ApduError without them."""
        if not 2 <= len(raw) <= EXTENDED_NE_MAX + 2:
            raise ApduError(
                "an answer has a status word and at most 65,536 bytes of data"
            )
        return cls(raw[:-2], StatusWord.of(raw[-2], raw[-1]))
