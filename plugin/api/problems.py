"""Problems in words: the catalogue, and the RFC 9457 object made from it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct, field, to_builtins

from plugin.activation.problem import Problem
from plugin.api import answers
from plugin.api.answers import CentreWords, Remedies, Texts
from plugin.api.ways import Ways
from plugin.card.vendor_codes import vendor_code

_OPTIONAL = re.compile(r"\[([^\[\]]*\{(\w+)\}[^\[\]]*)\]")  # [part {name}]


class Entry(Struct, frozen=True, kw_only=True):
    """One code of the catalogue, as texts/problems.toml explains it."""

    code: str
    http: int
    category: str
    retry: str
    action: str
    zh: str
    en: str
    todo_zh: list[str] = field(default_factory=list)
    todo_en: list[str] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)

    def messages(self, facts: Mapping[str, str]) -> Texts:
        """What is wrong, by language."""
        return Texts(chinese=filled(self.zh, facts), english=filled(self.en, facts))

    def todo(self, facts: Mapping[str, str]) -> Remedies:
        """What to do about it here, by language."""
        return Remedies(
            chinese=[filled(each, facts) for each in self.todo_zh],
            english=[filled(each, facts) for each in self.todo_en],
        )


class Catalogue:
    """Every problem the agent can name; its file is read when the first is named."""

    def __init__(
        self, read: Callable[[], Mapping[str, Mapping[str, Any]]], ways: Ways
    ) -> None:
        self._read = read
        self._ways = ways

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        return {code: Entry(code=code, **found) for code, found in self._read().items()}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def entry(self, code: str) -> Entry:
        """One code; one that was forgotten is the agent's own failure."""
        return self._entries.get(code) or self._entries["agent.failed"]

    def way_back(self, entry: Entry) -> list[answers.Way]:
        """The ways out of it, the best first."""
        return self._ways.out_of(entry.code, entry.ways)

    def place(self, key: str) -> Texts:
        """What a place of these ways is called here."""
        return self._ways.place(key)

    def remedy(self, entry: Entry, facts: Mapping[str, str]) -> Remedies:
        """What to do here, then the ways out of it in plain words."""
        todo, ways = entry.todo(facts), self._ways.in_words(self.way_back(entry))
        return Remedies(
            chinese=[*todo.chinese, *ways.chinese],
            english=[*todo.english, *ways.english],
        )

    def answer(self, problem: Problem, trace_id: str = "") -> answers.Problem:
        """The problem object (RFC 9457, 3.1) with our members."""
        entry = self.entry(problem.code)
        facts = problem.facts
        messages, remedy = entry.messages(facts), self.remedy(entry, facts)
        centre = problem.centre
        return answers.Problem(
            type=f"urn:kaqi:problem:{entry.code}",
            title=messages.english,
            status=entry.http,
            detail=" ".join([messages.english, *remedy.english]),
            code=entry.code,
            category=entry.category,
            retry=entry.retry,
            action=entry.action,
            messages=messages,
            remedy=remedy,
            way_back=self.way_back(entry),
            centre=CentreWords(code=centre.code, text=centre.text) if centre else None,
            vendor_code=vendor_code(entry.code, facts.get("sw")),
            trace_id=trace_id,
        )

    def body(
        self, problem: Problem, trace_id: str = "", **extras: object
    ) -> dict[str, Any]:
        """The same as plain JSON values, with more members."""
        plain: dict[str, Any] = to_builtins(self.answer(problem, trace_id))
        return plain | extras


class Prompts:
    """What the operator reads at every moment of a transaction: the region's `wording`,
    which maps a moment to whole texts by language, else ours."""

    def __init__(
        self,
        read: Callable[[], Mapping[str, Mapping[str, str]]],
        wording: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._read = read
        self._wording = wording

    @cached_property
    def _content(self) -> Mapping[str, Texts]:
        ours = {
            key: Texts(chinese=words["zh"], english=words["en"])
            for key, words in self._read().items()
        }
        return ours | {
            key: Texts(chinese=words["zh-CN"], english=words["en"])
            for key, words in self._wording.items()
        }

    def text(self, state: str, detail: str | None) -> Texts:
        """The instruction for a state and its role or outcome, by language."""
        return self._content.get(f"{state}.{detail}") or self._content[state]

    def keys(self) -> frozenset[str]:
        """Every moment that has words."""
        return frozenset(self._content)


def filled(sentence: str, facts: Mapping[str, str]) -> str:
    """A sentence with its facts; [part {name}] is left out where nobody knows it."""
    known = _OPTIONAL.sub(lambda part: part[1] if facts.get(part[2]) else "", sentence)
    return known.format_map(defaultdict(str, facts))
