"""Commands and answers, both ways (ISO 7816-3, 12.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.iso7816.apdu import ApduError, CommandApdu, ResponseApdu
from drivers.iso7816.status_word import StatusWord

CASES = [
    pytest.param("00 84 00 00", b"", None, id="case 1"),
    pytest.param("00 B2 03 00 06", b"", 6, id="case 2 short"),
    pytest.param("00 B2 03 00 00", b"", 256, id="case 2 short, Le 00"),
    pytest.param("00 B2 03 00 00 01 01", b"", 257, id="case 2 extended"),
    pytest.param("00 B2 03 00 00 00 00", b"", 65_536, id="case 2 extended, Le 0000"),
    pytest.param(
        "00 A4 02 00 02 EF 05", bytes.fromhex("EF05"), None, id="case 3 short"
    ),
    pytest.param(
        "00 A4 02 00 02 EF 05 00", bytes.fromhex("EF05"), 256, id="case 4 short"
    ),
    pytest.param(
        "00 A4 02 00 00 00 02 EF 05 01 01",
        bytes.fromhex("EF05"),
        257,
        id="case 4 extended",
    ),
]

byte = st.integers(0, 255)
commands = st.builds(
    CommandApdu,
    cla=byte,
    ins=byte,
    p1=byte,
    p2=byte,
    data=st.binary(max_size=300),
    ne=st.none() | st.integers(1, 65_536),
)


@pytest.mark.parametrize(("printed", "data", "ne"), CASES)
def test_every_case_is_written_and_read_as_the_standard_prints_it(
    printed: str, data: bytes, ne: int | None
) -> None:
    raw = bytes.fromhex(printed)

    command = CommandApdu.parse(raw)

    assert (command.data, command.ne) == (data, ne)
    assert bytes(command) == raw


@given(commands)
def test_a_command_survives_being_written_and_read(command: CommandApdu) -> None:
    assert CommandApdu.parse(bytes(command)) == command


@given(commands)
def test_a_command_cut_off_is_an_error_or_a_command_of_what_is_left(
    command: CommandApdu,
) -> None:
    raw = bytes(command)

    for end in range(len(raw)):
        try:
            shorter = CommandApdu.parse(raw[:end])
        except ApduError:
            continue
        assert shorter.header == raw[:4]
        assert shorter.data in raw[4:end]
        assert CommandApdu.parse(bytes(shorter)) == shorter


@given(st.binary(max_size=40))
def test_no_bytes_at_all_do_more_than_raise_an_apdu_error(raw: bytes) -> None:
    try:
        command = CommandApdu.parse(raw)
    except ApduError:
        return
    assert CommandApdu.parse(bytes(command)) == command


@pytest.mark.parametrize(
    "arguments",
    [
        {"cla": 256, "ins": 0, "p1": 0, "p2": 0},
        {"cla": 0, "ins": 0, "p1": -1, "p2": 0},
        {"cla": 0, "ins": 0, "p1": 0, "p2": 0, "ne": 0},
        {"cla": 0, "ins": 0, "p1": 0, "p2": 0, "ne": 65_537},
        {"cla": 0, "ins": 0, "p1": 0, "p2": 0, "data": bytes(65_536)},
    ],
)
def test_a_command_that_no_case_can_carry_cannot_be_made(
    arguments: dict[str, int | bytes],
) -> None:
    with pytest.raises(ApduError):
        CommandApdu(**arguments)  # type: ignore[arg-type]


def test_neither_command_nor_answer_prints_its_data() -> None:
    command = CommandApdu(cla=0, ins=0x20, p1=0, p2=0, data=b"\x12\x34\x56")
    response = ResponseApdu(b"secret", StatusWord(0x9000))

    assert repr(command) == "<CommandApdu 00 20 00 00 Nc=3 Ne=None>"
    assert repr(response) == "<ResponseApdu 6 bytes, 9000 success>"


@given(st.binary(max_size=300))
def test_an_answer_survives_being_read_and_written(raw: bytes) -> None:
    try:
        response = ResponseApdu.parse(raw)
    except ApduError:
        assert len(raw) < 2
        return
    assert bytes(response) == raw
    assert response.sw.value == int.from_bytes(raw[-2:], "big")
