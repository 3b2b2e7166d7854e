"""Looking for people in bytes: every spelling in which a name or a number could leak."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote_from_bytes

from simulator.people import Person


@dataclass(frozen=True)
class Leak:
    """What was found where, and how it was spelled."""

    where: str
    what: str
    spelling: str


def personal_values(people: Iterable[Person]) -> dict[str, str]:
    """Everything that names one of these people or their cards."""
    found = {}
    for person in people:
        found[f"{person.key} name"] = person.holder.name
        found[f"{person.key} number"] = person.holder.social_security_number
        found[f"{person.key} old number"] = person.old_card_number
        for kind, card in (("old", person.medical), ("new", person.social_security)):
            found[f"{person.key} {kind} card number"] = card.card_number
            found[f"{person.key} {kind} identification code"] = card.identification_code
    return found


def spellings(value: str) -> Iterator[tuple[str, bytes]]:
    """The value as bytes, in every encoding it could be written in."""
    for encoding in ("utf-8", "gb18030", "utf-16-le", "utf-16-be"):
        raw = value.encode(encoding)
        yield encoding, raw
        yield f"{encoding} %", quote_from_bytes(raw, safe="").encode()
        yield f"{encoding} % small", quote_from_bytes(raw, safe="").lower().encode()
        yield f"{encoding} printed", repr(raw)[2:-1].encode()
        yield f"{encoding} hex", raw.hex().encode()
        yield f"{encoding} HEX", raw.hex().upper().encode()
        for shift in range(3):
            yield f"{encoding} base64+{shift}", _base64_core(raw, shift)
    escaped = json.dumps(value).strip('"')
    yield "escaped", escaped.encode()
    yield (
        "escaped upper",
        escaped.replace("\\u", "\\U").upper().replace("\\U", "\\u").encode(),
    )
    yield "XML", "".join(f"&#{ord(each)};" for each in value).encode()
    yield "XML hex", "".join(f"&#x{ord(each):x};" for each in value).encode()
    if value[:-1].isdigit() and len(value) % 2 == 0:
        digits = value[:-1] + (value[-1] if value[-1].isdigit() else "F")
        yield "BCD", bytes.fromhex(digits)


def _base64_core(raw: bytes, shift: int) -> bytes:
    """The characters every base64 text shows that has `raw` at this offset modulo 3."""
    encoded = base64.b64encode(bytes(shift) + raw)
    first = -(-shift * 8 // 6)
    last = (shift + len(raw)) * 8 // 6
    return encoded[first:last]


def files_in(folder: Path) -> list[tuple[str, bytes]]:
    """Every file, as a place; of what lies beside a running agent some may just go."""
    found = []
    for file in folder.rglob("*"):
        try:
            found += [(str(file), file.read_bytes())] if file.is_file() else []
        except FileNotFoundError:
            continue
    return found


def unpacked(where: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The place, or those within where it is packed."""
    if not content.startswith(b"PK"):
        yield where, content
        return
    with zipfile.ZipFile(BytesIO(content)) as packed:
        for name in packed.namelist():
            yield f"{where} {name}", packed.read(name)


def find(places: Iterable[tuple[str, bytes]], people: Iterable[Person]) -> list[Leak]:
    """Every spelling of every value in every place."""
    return _found(places, personal_values(people))


def find_pins(places: Iterable[tuple[str, bytes]], pins: Iterable[str]) -> list[Leak]:
    """The same for PINs, which should be long enough to stand nowhere by chance."""
    return _found(places, {f"PIN {number}": pin for number, pin in enumerate(pins)})


def _found(places: Iterable[tuple[str, bytes]], named: Mapping[str, str]) -> list[Leak]:
    values = {
        wanted: (what, spelling)
        for what, value in named.items()
        for spelling, wanted in spellings(value)
    }
    return [
        Leak(place, *called)
        for where, packed in places
        for place, content in unpacked(where, packed)
        for wanted, called in values.items()
        if wanted in content
    ]
