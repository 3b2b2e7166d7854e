"""Sentences in both languages, by section and key, from one of the files in texts/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from msgspec import convert

from plugin.api.answers import Texts
from plugin.api.ways import Words


class Wording:
    """Its file is read when the first sentence is wanted."""

    def __init__(self, read: Callable[[], Mapping[str, Any]]) -> None:
        self._read = read

    @cached_property
    def book(self) -> Mapping[str, Mapping[str, Words]]:
        """Every sentence."""
        return convert(self._read(), dict[str, dict[str, Words]])

    def texts(self, section: str, key: str, /, **parts: object) -> Texts:
        """One sentence with its parts, of which those that are texts are put in in the
        language of the sentence. Raises KeyError."""
        words = self.book[section][key]
        chinese, english = {}, {}
        for name, part in parts.items():
            chinese[name] = part.chinese if isinstance(part, Texts) else part
            english[name] = part.english if isinstance(part, Texts) else part
        return Texts(
            chinese=words.zh.format(**chinese), english=words.en.format(**english)
        )


def listed(texts: list[Texts]) -> Texts:
    """One after the other."""
    return Texts(
        chinese="、".join(each.chinese for each in texts),
        english=", ".join(each.english for each in texts),
    )
