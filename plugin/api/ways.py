"""Ways back: where somebody goes whose card cannot be activated here and now, as values and in
plain words. They are the guidance's (texts/ways.toml) or the region's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any

from msgspec import Struct, convert

from plugin.activation.region import RegionProfile
from plugin.api.answers import Remedies, Stop, Texts, Way

Speak = Callable[[Texts], str]  # one language of a text
_CHINESE: Speak = attrgetter("chinese")
_ENGLISH: Speak = attrgetter("english")


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing in both languages, as files say it."""

    zh: str
    en: str

    @property
    def texts(self) -> Texts:
        """As clients are told."""
        return Texts(chinese=self.zh, english=self.en)


class StopWords(Words, frozen=True, kw_only=True):
    """One stop of a way; `place` and `documents` are keys."""

    place: str
    documents: list[str]
    in_person: bool = False


class Proxy(Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody takes along who goes for another."""

    documents: list[str]


class Book(Struct, frozen=True, forbid_unknown_fields=True):
    """texts/ways.toml."""

    sentences: dict[str, Words]
    places: dict[str, Words]
    documents: dict[str, Words]
    proxy: Proxy
    ways: dict[str, list[StopWords]]


class Ways:
    """Every way that a problem can name; their file is read when the first is named.
    Without a profile they are those of the guidance."""

    def __init__(
        self,
        read: Callable[[], Mapping[str, Any]],
        profile: RegionProfile | None = None,
    ) -> None:
        self._read = read
        self._back = profile.ways_back if profile else {}
        self._called = profile.places if profile else {}
        self._proxies = profile.holders.proxies if profile else frozenset()

    @cached_property
    def _book(self) -> Book:
        return convert(self._read(), Book)

    def out_of(self, code: str, national: Iterable[str]) -> list[Way]:
        """The ways out of this problem, the best first: the region's, else these."""
        return [self._way(key) for key in self._back.get(code, national)]

    def in_words(self, ways: list[Way]) -> Remedies:
        """One line for every stop."""
        return Remedies(
            chinese=list(self._lines(ways, _CHINESE)) if ways else [],
            english=list(self._lines(ways, _ENGLISH)) if ways else [],
        )

    def _way(self, key: str) -> Way:
        return Way(key=key, stops=[self._stop(each) for each in self._book.ways[key]])

    def _stop(self, stop: StopWords) -> Stop:
        may_send = stop.place in self._proxies and not stop.in_person
        return Stop(
            place=self.place(stop.place),
            what=stop.texts,
            documents=self._documents(stop.documents),
            proxy_documents=self._documents(
                self._book.proxy.documents if may_send else []
            ),
        )

    def place(self, key: str) -> Texts:
        """What a place is called here."""
        called = self._called.get(key)
        if called is None:
            return self._book.places[key].texts
        return Texts(chinese=called["zh-CN"], english=called["en"])

    def _documents(self, keys: Iterable[str]) -> list[Texts]:
        return [self._book.documents[key].texts for key in keys]

    def _lines(self, ways: list[Way], speak: Speak) -> Iterator[str]:
        for way in ways:
            for number, stop in enumerate(way.stops, start=1):
                line = self._line(stop, speak)
                if len(way.stops) > 1:
                    line = f"{number}. {line}"
                if number == 1 and way is not ways[0]:
                    line = self._say("or", speak, stop=line)
                yield line

    def _line(self, stop: Stop, speak: Speak) -> str:
        """Where, what, and what to take along."""
        more = [each for each in stop.proxy_documents if each not in stop.documents]
        comma = self._say("comma", speak)
        along = [
            self._say(key, speak, documents=comma.join(map(speak, documents)))
            for key, documents in (("take", stop.documents), ("proxy", more))
            if documents
        ]
        line = self._say("stop", speak, place=speak(stop.place), what=speak(stop.what))
        if not along:
            return line
        inside = self._say("semicolon", speak).join(along)
        return line + self._say("brackets", speak, inside=inside)

    def _say(self, key: str, speak: Speak, **parts: str) -> str:
        return speak(self._book.sentences[key].texts).format(**parts)
