"""Data objects as these cards use them.

Two encodings meet on a social security card. A *record* is one simple object: a tag of
one byte, a length of one byte, the value (LD/T 32.3; domain facts, 2.6). The *FCI* that
answers a SELECT is BER-TLV (ISO 7816-4, 5.2.2): tags of one to three bytes, definite
lengths of one to four bytes, constructed objects inside one another.

Everything is bounded and nothing recurses: a hostile card costs a fixed amount of work.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

MAX_DEPTH = 6
MAX_NODES = 256
MAX_TOTAL = 65_536
MAX_TAG_BYTES = 3
MAX_LENGTH_BYTES = 3

_CONSTRUCTED = 0x20
_MORE_TAG_BYTES = 0x1F
_LONG_LENGTH = 0x80


class TlvError(ValueError):
    """These bytes are not data objects of the expected encoding."""


class TlvIncompleteError(TlvError):
    """The bytes end inside an object: more are needed."""


class Tlv(Struct, frozen=True):
    """One object: its tag (as a number, 0x9F0C for 9F 0C) and its value."""

    tag: int
    value: bytes

    def __repr__(self) -> str:
        return f"<Tlv {self.tag:02X}, {len(self.value)} bytes>"


def parse_record(raw: bytes) -> Tlv:
    """The one simple object that fills `raw`: tag(1) length(1) value.

    Raises TlvIncompleteError when the value is cut off, TlvError on trailing bytes.
    """
    if len(raw) < 2:
        raise TlvIncompleteError("a record has a tag and a length")
    end = 2 + raw[1]
    if len(raw) < end:
        raise TlvIncompleteError(f"the record says {raw[1]} bytes, {len(raw) - 2} came")
    if len(raw) > end:
        raise TlvError(f"{len(raw) - end} bytes behind the record")
    return Tlv(raw[0], raw[2:])


def build_record(record: Tlv) -> bytes:
    """The bytes of one simple object. Raises TlvError when tag or value do not fit."""
    if not 0 <= record.tag <= 0xFF or len(record.value) > 0xFF:
        raise TlvError("a record has a tag of one byte and at most 255 bytes")
    return bytes((record.tag, len(record.value))) + record.value


def parse_ber(raw: bytes) -> tuple[Tlv, ...]:
    """The objects on the outermost level of `raw`, in order.

    The whole tree below them is checked too, so `walk` on the same bytes cannot fail.
    Refuses what DER would refuse in lengths (indefinite, longer than needed), trees past
    the bounds at the top of this file, and trailing bytes.
    """
    list(walk(raw))
    return tuple(_objects(raw))


def walk(raw: bytes) -> Iterator[Tlv]:
    """Every object in `raw`, constructed ones before what they contain.

    Raises TlvError as `parse_ber` does, at the object where it is noticed.
    """
    if len(raw) > MAX_TOTAL:
        raise TlvError("more than 64 KiB of data objects")
    levels = [_objects(raw)]
    nodes = 0
    while levels:
        found = next(levels[-1], None)
        if found is None:
            levels.pop()
            continue
        nodes += 1
        if nodes > MAX_NODES:
            raise TlvError(f"more than {MAX_NODES} data objects")
        yield found
        if _is_constructed(found.tag):
            if len(levels) == MAX_DEPTH:
                raise TlvError(f"data objects nested deeper than {MAX_DEPTH}")
            levels.append(_objects(found.value))


def build_ber(*objects: Tlv) -> bytes:
    """The shortest BER encoding of these objects, one after the other."""
    parts = []
    for each in objects:
        tag = each.tag.to_bytes(max(1, (each.tag.bit_length() + 7) // 8), "big")
        if _tag_length(tag, 0) != len(tag):
            raise TlvError(f"{each.tag:02X} is not a tag")
        parts += [tag, _ber_length(len(each.value)), each.value]
    return b"".join(parts)


def _objects(raw: bytes) -> Iterator[Tlv]:
    at = 0
    while at < len(raw):
        after_tag = at + _tag_length(raw, at)
        length, start = _length(raw, after_tag)
        if start + length > len(raw):
            raise TlvIncompleteError("a data object runs past the end")
        yield Tlv(int.from_bytes(raw[at:after_tag], "big"), raw[start : start + length])
        at = start + length


def _tag_length(raw: bytes, at: int) -> int:
    """How many bytes the tag at `at` has (ISO 7816-4, 5.2.2.1)."""
    if raw[at] & _MORE_TAG_BYTES != _MORE_TAG_BYTES:
        return 1
    for length in range(2, MAX_TAG_BYTES + 1):
        if at + length > len(raw):
            raise TlvIncompleteError("a tag is cut off")
        last = raw[at + length - 1]
        if length == 2 and last & 0x7F == 0:
            raise TlvError("a tag number starts with zeros")
        if not last & 0x80:
            return length
    raise TlvError(f"a tag is longer than {MAX_TAG_BYTES} bytes")


def _length(raw: bytes, at: int) -> tuple[int, int]:
    """The length field at `at`, and where the value starts (ISO 7816-4, 5.2.2.2)."""
    if at >= len(raw):
        raise TlvIncompleteError("a length is missing")
    first = raw[at]
    if first < _LONG_LENGTH:
        return first, at + 1
    width = first & 0x7F
    if not 1 <= width <= MAX_LENGTH_BYTES:
        raise TlvError("a length is indefinite or too wide")
    end = at + 1 + width
    if end > len(raw):
        raise TlvIncompleteError("a length is cut off")
    length = int.from_bytes(raw[at + 1 : end], "big")
    if _ber_length(length) != raw[at:end]:
        raise TlvError("a length is written longer than it needs")
    return length, end


def _ber_length(length: int) -> bytes:
    if length < _LONG_LENGTH:
        return bytes((length,))
    width = (length.bit_length() + 7) // 8
    if width > MAX_LENGTH_BYTES:
        raise TlvError("a data object is too long")
    return bytes((_LONG_LENGTH | width,)) + length.to_bytes(width, "big")


def _is_constructed(tag: int) -> bool:
    leading = tag >> (8 * (max(1, (tag.bit_length() + 7) // 8) - 1))
    return bool(leading & _CONSTRUCTED)
