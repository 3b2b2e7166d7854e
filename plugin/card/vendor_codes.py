"""The return codes of the terminal specification (domain facts, 5.3) and our problem codes:
existing code of a HIS keeps its numbers.

A status word of the card is its negative 16-bit value. Several numbers may mean one problem;
the first one listed is the one we give.
"""

from __future__ import annotations

from drivers.iso7816.status_word import StatusWord

SUCCESS = 0
LOWEST_STATUS_WORD = 0x6000
_PROBLEMS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("card.unsupported", (-1,)),
    ("card.absent", (-2,)),
    ("card.removed", (-2,)),
    ("card.mute", (-4, -3)),
    ("reader.gone", (-11,)),
    ("reader.none", (-12,)),
    ("pcsc.unavailable", (-12,)),
    ("pcsc.silent", (-12,)),
    ("reader.in_use_by_other", (-11,)),
    ("reader.timeout", (-11,)),
    ("reader.port_gone", (-12,)),
    ("reader.port_busy", (-12,)),
    ("reader.port_forbidden", (-12,)),
    ("reader.not_answering", (-12,)),
    ("reader.line_noise", (-15,)),
    ("reader.line_refused", (-15,)),
    ("reader.line_echo_lost", (-15,)),
    ("card.swipe_failed", (-112,)),
    ("agent.failed", (-13, -14)),
    ("card.protocol_error", (-15,)),
    ("card.data_invalid", (-20,)),
    ("card.not_genuine", (-21,)),
    ("psam.key_level", (-24,)),
    ("hsm.answer_for_another", (-25,)),
    ("pin.cancelled", (-31,)),
    ("pin.entry_timeout", (-32,)),
    ("pin.length", (-33,)),
    ("pin.confirmation_mismatch", (-34,)),
    ("pin.still_initial", (-35,)),
    ("pin.must_differ_from_initial", (-36,)),
    ("pin.wrong", (-51,)),
    ("pin.last_try", (-51,)),
    ("pin.locked", (-52,)),
    ("psam.missing", (-2201,)),
    ("psam.no_algorithm", (-2202,)),
    ("psam.no_key", (-2203, -27272)),
)
_CARD_SAYS = {
    0x6983: "card.app_locked",
    0x9303: "card.app_locked",
}
_GIVEN = {code: numbers[0] for code, numbers in _PROBLEMS}
_MEANT = {number: code for code, numbers in reversed(_PROBLEMS) for number in numbers}


def vendor_code(code: str, sw: str | None = None) -> int | None:
    """The number for a problem of ours, where the table has one; `sw` is the status word
    in hexadecimal, where the card said one."""
    if sw is not None:
        return -int(sw, 16)
    return _GIVEN.get(code)


def problem_of(number: int) -> tuple[str, StatusWord | None]:
    """Our code for a number of the table, with the status word where it is one. Raises
    LookupError for a number that is not in the table."""
    if number in _MEANT:
        return _MEANT[number], None
    if not LOWEST_STATUS_WORD <= -number <= 0xFFFF:
        raise LookupError(number)
    sw = StatusWord(-number)
    if sw.tries_left is not None:
        return "card.authentication_failed", sw
    return _CARD_SAYS.get(sw.value, "card.status_word"), sw
