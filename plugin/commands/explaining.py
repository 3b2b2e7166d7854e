"""`kaqi region explain`: what a profile means at the counter, in plain words, as a picture, and as
data for the programs of POS vendors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from itertools import product
from typing import Any, TypeVar

from msgspec import to_builtins

from plugin import main
from plugin.activation import flow
from plugin.activation.flow import End, FlowStep, Way
from plugin.activation.region import (
    ActivationBy,
    Effect,
    NewPin,
    RegionProfile,
    Scenario,
    Window,
)
from plugin.activation.saga import Dedupe
from plugin.api.problems import Catalogue, Prompts
from plugin.commands import region, screen
from plugin.commands.region import Chosen
from plugin.commands.wording import say
from plugin.settings import InstitutionKind

OneOf = TypeVar("OneOf")
_UNKNOWN = {"last_day": "…"}  # what a sentence leaves open until there is a card
_FAILED = "failed"


def run(
    name: str,
    *,
    kind: InstitutionKind | None,
    scenario: Scenario | None,
    language: str | None,
    as_json: bool,
) -> int:
    """Explain the region of this id or path. Raises CannotError."""
    profile = region.loaded(name)
    chosen = [
        each
        for each in region.scenarios(profile)
        if kind in (None, each.kind) and scenario in (None, each.scenario)
    ]
    if not chosen:
        known = ", ".join(
            f"--kind {each.kind} --scenario {each.scenario}"
            for each in region.scenarios(profile)
        )
        raise region.usage("none_there", label=profile.label, known=known)
    if as_json:
        screen.json_line(as_data(profile, chosen))
        return 0
    for each in (language,) if language else screen.languages():
        for line in Explainer(profile, each).lines(chosen):
            screen.line(line)
    return 0


def as_data(profile: RegionProfile, chosen: Iterable[Chosen]) -> dict[str, Any]:
    """Keys, actors and ends of every way, with one reader and with two."""
    return {
        "id": profile.id,
        "version": profile.version,
        "ways": [
            {
                "kind": each.kind.value,
                "scenario": each.scenario.value,
                "activation_by": each.rules.activation_by.value,
                **to_builtins(flow.way(profile, each.rules, each.scenario, readers)),
            }
            for each in chosen
            for readers in flow.READERS
        ],
    }


class Explainer:
    """One region in one language."""

    def __init__(self, profile: RegionProfile, language: str) -> None:
        self._profile = profile
        self._language = language
        self._prompts: Prompts = main.prompts(profile)
        self._catalogue: Catalogue = main.catalogue(profile)

    def lines(self, chosen: Iterable[Chosen]) -> Iterator[str]:
        """Everything there is to say, line by line, as Markdown."""
        profile = self._profile
        called = profile.name[self._language]
        yield self._line("title", name=called, label=profile.label)
        for each in chosen:
            yield ""
            yield from self._scenario(each)
        for heading, items in (
            ("pins", self._pins()),
            ("windows", self._windows()),
            ("holders", self._holders()),
        ):
            yield ""
            yield self._line(heading)
            yield ""
            yield from (self._line("item", text=each) for each in items)
        yield ""

    def _scenario(self, chosen: Chosen) -> Iterator[str]:
        ways = {
            readers: flow.way(self._profile, chosen.rules, chosen.scenario, readers)
            for readers in flow.READERS
        }
        two, one = ways[2], ways[1]
        yield self._line(
            "scenario",
            kind=self._say("kinds", chosen.kind),
            scenario=self._say("scenarios", chosen.scenario),
        )
        yield ""
        for number, step in enumerate(two.steps, start=1):
            yield self._line("step", number=number, **self._step(step))
        yield from self._with_one_reader(two, one)
        yield ""
        yield self._line("by", by=self._say("by", chosen.rules.activation_by))
        yield self._line("lost", lost=self._lost(chosen.rules.activation_by))
        yield ""
        yield self._line("ends")
        for end in one.ends:
            yield from self._end(end)
        yield ""
        yield from self._picture(two, one)

    def _step(self, step: FlowStep) -> dict[str, object]:
        prompt = self._prompts.text(step.state, step.detail)
        return {
            "actor": self._say("actors", step.actor),
            "task": self._say("tasks", step.task),
            "prompt": self._in(prompt.chinese, prompt.english),
            "key": step.key,
        }

    def _with_one_reader(self, two: Way, one: Way) -> Iterator[str]:
        same = SequenceMatcher(a=two.keys, b=one.keys, autojunk=False)
        for _, before, _, begin, end in same.get_opcodes():
            more = [each for each in one.steps[begin:end] if each not in two.steps]
            if more:
                yield self._line("one_reader", number=before)
            yield from (self._line("more", **self._step(each)) for each in more)

    def _lost(self, by: ActivationBy) -> str:
        """What happens without an answer: by what the centre can do, where it is asked."""
        abilities, clocks = self._profile.centre.abilities, self._profile.clocks
        key = by.value
        if by is ActivationBy.CENTRE:
            asked = abilities.dedupe is Dedupe.NONE and abilities.can_tell_status
            key = "none_but_asked" if asked else abilities.dedupe.value
        minutes = f"{round(clocks.registration / 60, 1):g}"
        seconds = abilities.message_life_ms // 1000
        return self._say("lost", key, seconds=seconds, minutes=minutes)

    def _end(self, end: End) -> Iterator[str]:
        """Its sentence, and the way back."""
        if end.code is None:
            state, _, detail = end.key.partition(".")
            prompt = self._prompts.text(state, detail or None)
            said = self._in(prompt.chinese, prompt.english)
            yield self._line("end", said=said, key=end.key)
            return
        entry, facts = self._catalogue.entry(end.code), {**_UNKNOWN, **end.facts}
        texts, remedy = entry.messages(facts), self._catalogue.remedy(entry, facts)
        said = self._in(texts.chinese, texts.english)
        yield self._line("end_code", said=said, key=end.key, code=end.code)
        stops = sum(len(way.stops) for way in self._catalogue.way_back(entry))
        lines = self._in(remedy.chinese, remedy.english)
        for line in lines[len(lines) - stops :]:
            yield self._line("way_back", line=line)

    def _pins(self) -> Iterator[str]:
        policy = self._profile.pin
        yield self._say("old_pin", policy.old)
        yield self._say("new_pin", policy.new)
        if policy.new is not NewPin.NONE:
            yield self._say("new_pin_when", policy.new_when)
        if not policy.wanted:
            return
        least, most = policy.digits.minimum, policy.digits.maximum
        form = "fixed" if least == most else "digits"
        yield self._say("pin_notes", form, min=least, max=most)
        if policy.initial and policy.new is not NewPin.NONE:
            initial = self._in("、", ", ").join(sorted(policy.initial))
            yield self._say("pin_notes", "initial", initial=initial)
        yield self._say("pin_notes", "tries" if policy.show_tries else "no_tries")
        yield self._say("pin_notes", "clock", seconds=self._profile.clocks.pin)

    def _windows(self) -> Iterator[str]:
        profile = self._profile
        if not profile.centre.offers.card_status:
            yield self._say("window_notes", "not_judged")
            return
        for name, window in (
            ("activation", profile.activation_window),
            ("financial", profile.financial_window),
        ):
            yield self._window(name, window)

    def _window(self, name: str, window: Window) -> str:
        parts = {
            "name": self._say("windows", name),
            "from": self._say("counts_from", window.counts_from),
            "effect": self._say("effects", Effect(window.effect)),
        }
        return self._say("window_notes", "window", days=window.days, **parts)

    def _holders(self) -> Iterator[str]:
        profile, holders = self._profile, self._profile.holders
        age = "minimum_age" if holders.minimum_age else "anybody"
        yield self._say("holders", age, age=holders.minimum_age)
        first = holders.first_replacement_only
        which = "first_replacement_only" if first else "every_replacement"
        yield self._say("holders", which)
        yield self._say("holders", f"match_{profile.match}")
        if not holders.proxies:
            yield self._say("holders", "no_proxies")
            return
        places = self._in("、", ", ").join(map(self._place, sorted(holders.proxies)))
        yield self._say("holders", "proxies", places=places)

    def _place(self, key: str) -> str:
        """What a place is called here."""
        own = self._profile.places.get(key)
        if own is not None:
            return own[self._language]
        ours: Mapping[str, str] = main.texts("ways")()["places"][key]
        return self._in(ours["zh"], ours["en"])

    def _picture(self, two: Way, one: Way) -> Iterator[str]:
        """A state diagram: the ways with two readers and with one, and every other end."""
        yield "```mermaid"
        yield "stateDiagram-v2"
        edges: dict[tuple[str, str], list[str]] = {}
        for way in (two, one):
            for step, following in zip(way.steps, way.steps[1:], strict=False):
                act = self._line("act", **self._step(step))
                edges.setdefault((step.key, following.key), []).append(act)
        for end in one.ends:
            for at in end.at:
                edges.setdefault((at, end.key), []).append(end.code or "")
        doubts = [each.key for each in one.ends if not each.final]
        for doubt, later in product(doubts, (two.keys[-1], _FAILED)):
            edges.setdefault((doubt, later), []).append(self._line("later"))
        lasts = {two.keys[-1], *(each.key for each in one.ends if each.final)}
        for key in dict.fromkeys(key for pair in edges for key in pair):
            yield f'    state "{key}" as {_node(key)}'
        yield f"    [*] --> {_node(two.keys[0])}"
        for (before, after), labels in edges.items():
            label = " / ".join(each for each in dict.fromkeys(labels) if each)
            arrow = f"    {_node(before)} --> {_node(after)}"
            yield f"{arrow}: {label}" if label else arrow
        yield from (f"    {_node(each)} --> [*]" for each in sorted(lasts))
        yield "```"

    def _line(self, key: str, /, **parts: object) -> str:
        return self._say("lines", key, **parts)

    def _say(self, section: str, key: str, /, **parts: object) -> str:
        return say(section, key, self._language, **parts)

    def _in(self, chinese: OneOf, english: OneOf) -> OneOf:
        return chinese if self._language == screen.CHINESE else english


def _node(key: str) -> str:
    """A moment's name as Mermaid takes it."""
    return key.replace(".", "_")
