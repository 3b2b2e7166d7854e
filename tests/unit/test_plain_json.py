"""Plain JSON: what two programs could read in two ways is refused, at its place."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.api.plain_json import DEPTH_MAX, plain
from plugin.shapes import Place, ShapeError

GREATEST, LEAST = 2**63 - 1, -(2**63)
UNSEEN = "a character that cannot be seen"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", {}),
        (b"{}", {}),
        (b'{"a": [1, 2.5, true, null]}', {"a": [1, 2.5, True, None]}),
        (b'{"n": %d}' % GREATEST, {"n": GREATEST}),
        (b'{"n": %d}' % LEAST, {"n": LEAST}),
        ('{"name": "𪚥林 é"}'.encode(), {"name": "𪚥林 é"}),
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, None),
    ],
)
def test_plain_json_is_what_it_says(raw: bytes, said: object) -> None:
    assert plain(raw) == (json.loads(raw) if said is None else said)


@pytest.mark.parametrize(
    ("raw", "place", "reason"),
    [
        (b"{", (), "not JSON"),
        (b"{} {}", (), "not JSON"),
        (b"\xff", (), "not JSON"),
        (b"\xef\xbb\xbf{}", (), "not JSON"),
        (b"[" * 60_000, (), "not JSON"),
        (b'{"a": {"b": 1, "b": 1}}', ("a",), "a key twice"),
        (b'{"a": 1, "\\u0061": 2}', (), "a key twice"),
        (b'{"a": NaN}', ("a",), "NaN is no number"),
        (b'{"a": [0, -Infinity]}', ("a", 1), "-Infinity is no number"),
        (b'{"a": 1e999}', ("a",), "too large"),
        (b'{"a": %d}' % (GREATEST + 1), ("a",), "not within 64 bits"),
        (b'{"a": %d}' % (LEAST - 1), ("a",), "not within 64 bits"),
        (b'{"a": %s}' % (b"1" * 60_000), ("a",), "not within 64 bits"),
        (b'{"a": "\\u0000"}', ("a",), UNSEEN),
        (b'{"a": "one\\ntwo"}', ("a",), UNSEEN),
        (b'{"a": "\\u202egnp.exe"}', ("a",), UNSEEN),
        (b'{"a": "\\u2066"}', ("a",), UNSEEN),
        (b'{"a": "\\ud842"}', ("a",), UNSEEN),
        (b'{"\\u200b": 1}', (), UNSEEN),
        (b'{"a": "e\\u0301"}', ("a",), "not in the normal form NFC"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_at_its_place(
    raw: bytes, place: Place, reason: str
) -> None:
    with pytest.raises(ShapeError) as refused:
        plain(raw)

    assert refused.value.place == place
    assert refused.value.reason == reason


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_sixteen_deep_is_deep_enough(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    step = 0 if opening == b"[" else "a"
    innermost = b"[]"

    with pytest.raises(ShapeError) as refused:
        plain(opening * DEPTH_MAX + innermost + closing * DEPTH_MAX)

    assert refused.value.place == (step,) * DEPTH_MAX
    assert refused.value.reason == "deeper than 16"


text = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=20
).map(lambda said: unicodedata.normalize("NFC", said))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(LEAST, GREATEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(said=values)
def test_whatever_is_plain_comes_out_as_it_went_in(said: object) -> None:
    assert plain(json.dumps(said).encode()) == said
