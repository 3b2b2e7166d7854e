"""The printed receipt, from texts/receipts.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from plugin.agent.views import TransactionView
from plugin.api.answers import Receipt, Texts

WIDTH = 44


class Receipts:
    """Makes receipts in both languages."""

    def __init__(
        self, read: Callable[[], Mapping[str, Any]], institution_name: str
    ) -> None:
        self._read = read
        self._institution_name = institution_name

    @cached_property
    def _content(self) -> Mapping[str, Any]:
        return self._read()

    def receipt(self, view: TransactionView) -> Receipt | None:
        """The receipt of a transaction whose outcome has one; a dry run has none."""
        if view.kind == "dry_run" or view.outcome not in self._content["title"]:
            return None
        assert view.outcome is not None  # noqa: S101 - it has a title
        chinese = self._text(view, view.outcome, "zh")
        english = self._text(view, view.outcome, "en")
        return Receipt(text=Texts(chinese=chinese, english=english))

    def _text(self, view: TransactionView, outcome: str, short: str) -> str:
        words = self._content
        holder, confirmation = view.masked, view.confirmation
        values = {
            "institution": self._institution_name,
            "scenario": words["scenario"][view.origin.scenario][short],
            "name": holder.name if holder else None,
            "social_security_number": (
                holder.social_security_number if holder else None
            ),
            "card_number": holder.card_number if holder else None,
            "outcome": words["outcome"][outcome][short],
            "since": confirmation.since if confirmation else None,
            "receipt_no": confirmation.receipt_no if confirmation else None,
            "reference": view.activation,
            "completed_at": _local(view.completed_at),
        }
        lines = [words["title"][outcome][short], "-" * WIDTH]
        lines += [
            f"{words['label'][key][short]}: {value}"
            for key, value in values.items()
            if value
        ]
        if outcome == "activated" and view.origin.scenario == "pharmacy":
            lines += ["", words["note"]["old_card_void"][short]]
        if view.origin.test_data:
            lines += ["", words["note"]["test_data"][short]]
        return "\n".join(lines)


def _local(moment: str | None) -> str | None:
    """Of 2026-01-02T03:04:05+08:00, which is the till's own time, what people read."""
    return moment[:19].replace("T", " ") if moment else None
