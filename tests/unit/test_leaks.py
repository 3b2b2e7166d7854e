"""The search for leaks finds every leak that is planted."""

from __future__ import annotations

import base64
import json
import zipfile
from io import BytesIO
from urllib.parse import quote

import pytest

from simulator.people import PEOPLE
from tests.leaks import find, find_pins, personal_values, spellings

LIN = [PEOPLE["lin"]]
NAME = PEOPLE["lin"].holder.name
NUMBER = PEOPLE["lin"].holder.social_security_number


@pytest.mark.parametrize(
    "planted",
    [
        pytest.param(f"read {NAME} today".encode(), id="UTF-8"),
        pytest.param(f"read {NAME} today".encode("gbk"), id="GBK"),
        pytest.param(f"read {NAME} today".encode("utf-16-le"), id="UTF-16LE"),
        pytest.param(NUMBER.encode("utf-16-le"), id="number in UTF-16LE"),
        pytest.param(NAME.encode("gbk").hex().encode(), id="hex of GBK"),
        pytest.param(NUMBER.encode().hex().upper().encode(), id="hex of ASCII"),
        pytest.param(base64.b64encode(f"x{NUMBER}".encode()), id="base64, one in"),
        pytest.param(base64.b64encode(f"xx{NUMBER}y".encode()), id="base64, two in"),
        pytest.param(base64.b64encode(NAME.encode()), id="base64 of a name"),
        pytest.param(json.dumps({"name": NAME}).encode(), id="\\u escapes"),
        pytest.param(NAME.encode("utf-16-be"), id="UTF-16BE"),
        pytest.param(quote(NAME).encode(), id="in a URL"),
        pytest.param(quote(NAME, encoding="gbk").lower().encode(), id="URL of GBK"),
        pytest.param(
            repr(NAME.encode("gbk")).encode(), id="bytes as Python prints them"
        ),
        pytest.param(NAME.encode("ascii", "xmlcharrefreplace"), id="XML"),
        pytest.param(f"<td>{NAME}</td>".encode("gb18030"), id="GB18030"),
        pytest.param(b"\x08\x09" + bytes.fromhex(NUMBER) + b"\x90", id="BCD"),
        pytest.param(
            PEOPLE["lin"].social_security.card_number.encode(), id="card number"
        ),
    ],
)
def test_a_planted_leak_is_found(planted: bytes) -> None:
    leaks = find([("log", b"before " + planted + b" after")], LIN)

    assert leaks
    assert {leak.where for leak in leaks} == {"log"}


def test_what_is_packed_is_searched_too() -> None:
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("kaqi.log", f"read {NAME} " * 9)

    (leak,) = find([("bundle", content.getvalue())], LIN)

    assert leak.where == "bundle kaqi.log"
    assert leak.what == "lin name"


PIN = "975310864213"


@pytest.mark.parametrize(
    "planted",
    [
        pytest.param(f'{{"pin": "{PIN}"}}'.encode(), id="JSON"),
        pytest.param(b"\x00\x20\x00\x00\x06" + bytes.fromhex(PIN), id="VERIFY"),
        pytest.param(base64.b64encode(f"x{PIN}".encode()), id="base64"),
        pytest.param(PIN.encode().hex().encode(), id="hex of ASCII"),
        pytest.param(PIN.encode("utf-16-le"), id="UTF-16LE"),
    ],
)
def test_a_planted_pin_is_found(planted: bytes) -> None:
    assert find_pins([("log", b"before " + planted + b" after")], [PIN])
    assert not find_pins([("log", b"before and after")], [PIN])


def test_masked_values_are_no_leak() -> None:
    masked = "林** 999901********1017 *****0017".encode()

    assert find([("screen", masked)], LIN) == []


def test_nothing_is_searched_for_that_is_everywhere() -> None:
    shortest = min(
        len(wanted)
        for value in personal_values(PEOPLE.values()).values()
        for _, wanted in spellings(value)
    )

    assert shortest >= 6
