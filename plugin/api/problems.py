"""Problems in words: the catalogue, and the RFC 9457 object made from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from plugin.activation.problem import Problem

LANGUAGES = {"zh-CN": "zh", "en": "en"}


class Entry(Struct, frozen=True, kw_only=True):
    """One code of the catalogue, as texts/problems.toml explains it."""

    code: str
    http: int
    category: str
    retry: str
    action: str
    zh: str
    en: str
    todo_zh: tuple[str, ...]
    todo_en: tuple[str, ...]

    def messages(self, facts: Mapping[str, str]) -> dict[str, str]:
        """What is wrong, by language."""
        return {"zh-CN": _filled(self.zh, facts), "en": _filled(self.en, facts)}

    def remedy(self, facts: Mapping[str, str]) -> dict[str, list[str]]:
        """What to do, by language."""
        return {
            "zh-CN": [_filled(each, facts) for each in self.todo_zh],
            "en": [_filled(each, facts) for each in self.todo_en],
        }


class Catalogue:
    """Every problem the agent can name."""

    def __init__(self, content: Mapping[str, Mapping[str, Any]]) -> None:
        self._entries = {code: _entry(code, found) for code, found in content.items()}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, code: str) -> bool:
        return code in self._entries

    def entry(self, code: str) -> Entry:
        """One code; one that was forgotten is the agent's own failure."""
        return self._entries.get(code) or self._entries["agent.failed"]

    def body(
        self, problem: Problem, trace_id: str = "", **extras: object
    ) -> dict[str, Any]:
        """The problem object (RFC 9457, 3.1) with our members."""
        entry = self.entry(problem.code)
        messages = entry.messages(problem.facts)
        centre = problem.centre
        return {
            "type": f"urn:kaqi:problem:{entry.code}",
            "title": messages["en"],
            "status": entry.http,
            "detail": " ".join([messages["en"], *entry.remedy(problem.facts)["en"]]),
            "code": entry.code,
            "category": entry.category,
            "retry": entry.retry,
            "action": entry.action,
            "messages": messages,
            "remedy": entry.remedy(problem.facts),
            "centre": {"code": centre.code, "text": centre.text} if centre else None,
            "trace_id": trace_id,
            **extras,
        }


class Prompts:
    """What the operator reads at every moment of a transaction."""

    def __init__(self, content: Mapping[str, Mapping[str, str]]) -> None:
        self._content = content

    def text(self, state: str, detail: str | None) -> dict[str, str]:
        """The instruction for a state and its role or outcome, by language."""
        found = self._content.get(f"{state}.{detail}") or self._content[state]
        return {language: found[short] for language, short in LANGUAGES.items()}

    def keys(self) -> frozenset[str]:
        """Every moment that has words."""
        return frozenset(self._content)


def _entry(code: str, found: Mapping[str, Any]) -> Entry:
    lists = {key: tuple(found[key]) for key in ("todo_zh", "todo_en")}
    return Entry(code=code, **{**found, **lists})


def _filled(sentence: str, facts: Mapping[str, str]) -> str:
    return sentence.format_map(defaultdict(str, facts))
