"""Records and BER-TLV, both ways, whole and damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.iso7816 import tlv
from drivers.iso7816.tlv import Tlv, TlvError, TlvIncompleteError

VERSION = bytes.fromhex("03 04 33 2E 30 30")  # the worked form of the domain facts, 2.6
SSSE_FCI = bytes.fromhex(
    "6F 19 84 0F 73 78 31 2E 73 68 2E C9 E7 BB E1 B1 A3 D5 CF A5 06 9F 0C 03 86 01 01"
)

records = st.builds(Tlv, st.integers(0, 255), st.binary(max_size=255))
primitive_tags = st.sampled_from([0x81, 0x84, 0x9F0C, 0x5F2D, 0x80, 0xDF8101])
constructed_tags = st.sampled_from([0x6F, 0xA5, 0x70, 0x7F4E])
leaves = st.builds(Tlv, primitive_tags, st.binary(max_size=300))
trees = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda tag, parts: Tlv(tag, tlv.build_ber(*parts)),
        constructed_tags,
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)


def test_a_record_is_read_as_the_standard_prints_it() -> None:
    assert tlv.parse_record(VERSION) == Tlv(0x03, b"3.00")


@given(records)
def test_a_record_survives_being_written_and_read(record: Tlv) -> None:
    assert tlv.parse_record(tlv.build_record(record)) == record


@given(records)
def test_a_record_cut_off_anywhere_needs_more(record: Tlv) -> None:
    raw = tlv.build_record(record)

    for end in range(len(raw)):
        with pytest.raises(TlvIncompleteError):
            tlv.parse_record(raw[:end])


@given(records, st.binary(min_size=1, max_size=4))
def test_a_record_with_something_behind_it_is_refused(record: Tlv, junk: bytes) -> None:
    with pytest.raises(TlvError, match="behind"):
        tlv.parse_record(tlv.build_record(record) + junk)


@pytest.mark.parametrize(
    "record", [Tlv(0x100, b""), Tlv(0x01, bytes(256)), Tlv(-1, b"")]
)
def test_a_record_that_does_not_fit_cannot_be_written(record: Tlv) -> None:
    with pytest.raises(TlvError):
        tlv.build_record(record)


def test_the_fci_of_a_social_security_card_opens_into_its_parts() -> None:
    found = [(each.tag, len(each.value)) for each in tlv.walk(SSSE_FCI)]

    assert found == [(0x6F, 25), (0x84, 15), (0xA5, 6), (0x9F0C, 3)]


@given(st.lists(trees, max_size=3))
def test_a_tree_survives_being_written_and_read(objects: list[Tlv]) -> None:
    raw = tlv.build_ber(*objects)

    assert list(tlv.parse_ber(raw)) == objects


@given(trees)
def test_a_tree_cut_off_anywhere_needs_more(tree: Tlv) -> None:
    raw = tlv.build_ber(tree)

    for end in range(1, len(raw)):
        with pytest.raises(TlvIncompleteError):
            tlv.parse_ber(raw[:end])


@pytest.mark.parametrize(
    "printed",
    [
        pytest.param("84 80 00 00", id="indefinite length"),
        pytest.param("84 81 05 01 02 03 04 05", id="length longer than needed"),
        pytest.param("84 84 00 00 00 01 00", id="length of four bytes"),
        pytest.param("9F 80 01 00", id="tag number starting with zeros"),
        pytest.param("9F 81 82 03 00", id="tag of four bytes"),
    ],
)
def test_what_der_refuses_is_refused(printed: str) -> None:
    with pytest.raises(TlvError):
        tlv.parse_ber(bytes.fromhex(printed))


def test_a_tree_deeper_than_six_is_refused() -> None:
    tree = Tlv(0x84, b"")
    for _ in range(tlv.MAX_DEPTH):
        tree = Tlv(0x6F, tlv.build_ber(tree))

    with pytest.raises(TlvError, match="deeper"):
        tlv.parse_ber(tlv.build_ber(tree))


def test_more_than_256_objects_are_refused() -> None:
    raw = tlv.build_ber(*[Tlv(0x84, b"")] * (tlv.MAX_NODES + 1))

    with pytest.raises(TlvError, match="256"):
        tlv.parse_ber(raw)


def test_more_than_64_kib_are_refused() -> None:
    with pytest.raises(TlvError, match="64 KiB"):
        tlv.parse_ber(bytes(tlv.MAX_TOTAL + 1))


@given(st.binary(max_size=64))
def test_no_bytes_at_all_do_more_than_raise_a_tlv_error(raw: bytes) -> None:
    try:
        objects = tlv.parse_ber(raw)
    except TlvError:
        return
    assert tlv.build_ber(*objects) == raw


def test_an_object_does_not_print_its_value() -> None:
    assert repr(Tlv(0x08, b"999901190101010011")) == "<Tlv 08, 18 bytes>"


@pytest.mark.parametrize("tag", [0x1F, 0x0101, 0x9F8001])
def test_a_number_that_is_no_tag_cannot_be_written(tag: int) -> None:
    with pytest.raises(TlvError):
        tlv.build_ber(Tlv(tag, b""))
