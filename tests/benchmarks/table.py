"""The table, for a terminal and for the README."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles

from tests.benchmarks.figures import Measured, NotRun, Promise, Row

HEADINGS = ("what", "ours", "floor", "figure (middle half)", "gate", "goal", "verdict")


def plain(rows: Sequence[Row]) -> str:
    """Columns for a terminal; what stands beside a row has a line of its own."""
    lines = [HEADINGS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    heading, *body = (_aligned(cells, widths) for cells in lines)
    text = [heading, "  ".join("-" * width for width in widths)]
    for row, line in zip(rows, body, strict=True):
        text.append(line)
        remark = _remark(row)
        if remark:
            text.append(f"    {remark}")
    return "\n".join(text)


def markdown(rows: Sequence[Row]) -> str:
    """The same for the README; remarks become a list under the table."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(_cells, rows)]
    text = [f"| {' | '.join(cells)} |" for cells in lines]
    remarks = [f"- {row.what}: {_remark(row)}" for row in rows if _remark(row)]
    return "\n".join([*text, "", *remarks]) if remarks else "\n".join(text)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _remark(row: Row) -> str:
    return row.reason if isinstance(row, NotRun) else row.beside


def _cells(row: Row) -> tuple[str, ...]:
    if isinstance(row, NotRun):
        return (row.what, "", "", "", "", "", "not run")
    promise = row.promise
    return (
        row.what,
        _amount(row.ours, promise.unit),
        f"{row.floor_is}: {_amount(row.floor, promise.unit)}",
        _figure(row),
        _bound(promise, promise.gate),
        _bound(promise, promise.goal),
        _verdict(row),
    )


def _amount(value: float, unit: str) -> str:
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} {unit}"


def _figure(row: Measured) -> str:
    promise = row.promise
    lower, _, upper = quantiles(row.figures, n=4)
    spread = f"{_number(promise, lower)} to {_number(promise, upper)}"
    return f"{_number(promise, row.figure)}{_suffix(promise)} ({spread})"


def _number(promise: Promise, figure: float) -> str:
    sign = "+" if promise.difference else ""
    return f"{figure:{sign}.2f}" if abs(figure) < 100 else f"{figure:{sign}.0f}"


def _suffix(promise: Promise) -> str:
    return f" {promise.unit}" if promise.difference else "x"


def _bound(promise: Promise, bound: float) -> str:
    compared = ">=" if promise.at_least else "<="
    sign = "+" if promise.difference else ""
    return f"{compared} {bound:{sign}g}{_suffix(promise)}"


def _verdict(row: Measured) -> str:
    if not row.gate_met:
        return "GATE MISSED"
    return "gate met, goal " + ("reached" if row.goal_reached else "not reached")
