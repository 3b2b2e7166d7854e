"""`kaqi region explain`: what a profile means at the counter, in plain words, as a picture, and as
data for the programs of POS vendors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from msgspec import to_builtins

from plugin import main
from plugin.activation import flow
from plugin.activation.flow import Way
from plugin.activation.region import Chosen, RegionProfile, Scenario
from plugin.api.answers import RegionEnd, RegionStep, RegionWay, Texts
from plugin.commands import region, screen
from plugin.commands.wording import say
from plugin.settings import InstitutionKind

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
        for each in profile.chosen()
        if kind in (None, each.kind) and scenario in (None, each.scenario)
    ]
    if not chosen:
        known = ", ".join(
            f"--kind {each.kind} --scenario {each.scenario}"
            for each in profile.chosen()
        )
        raise region.usage("none_there", label=profile.label, known=known)
    if as_json:
        screen.json_line(as_data(profile, chosen))
        return 0
    for each in (language,) if language else screen.languages():
        for line in Explained(profile, each).lines(chosen):
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


class Explained:
    """One region in one language."""

    def __init__(self, profile: RegionProfile, language: str) -> None:
        self._profile = profile
        self._language = language
        self._explainer = main.explainer(profile)

    def lines(self, chosen: Iterable[Chosen]) -> Iterator[str]:
        """Everything there is to say, line by line, as Markdown."""
        chosen = list(chosen)
        told = self._explainer.region(chosen)
        label = self._profile.label
        yield self._line("title", name=told.name, label=label)
        for each, way in zip(chosen, told.ways, strict=True):
            yield ""
            yield from self._way(way)
            yield ""
            yield from self._picture(*self._explainer.ways(each))
        for heading, items in (
            ("pins", told.pins),
            ("windows", told.windows),
            ("holders", told.holders),
        ):
            yield ""
            yield self._line(heading)
            yield ""
            yield from (self._line("item", text=each) for each in items)
        yield ""

    def _way(self, way: RegionWay) -> Iterator[str]:
        yield self._line("scenario", kind=way.place, scenario=way.name)
        yield ""
        for number, step in enumerate(way.steps, start=1):
            yield self._line("step", number=number, **_parts(step))
        for detour in way.one_reader:
            yield self._line("one_reader", number=detour.after)
            yield from (self._line("more", **_parts(each)) for each in detour.steps)
        yield ""
        yield self._line("by", by=way.by)
        yield self._line("lost", lost=way.lost)
        yield ""
        yield self._line("ends")
        for end in way.ends:
            yield from self._end(end)

    def _end(self, end: RegionEnd) -> Iterator[str]:
        """Its sentence, and the way back."""
        line = "end" if end.code is None else "end_code"
        yield self._line(line, said=end.says, key=end.key, code=end.code)
        is_chinese = self._language == screen.CHINESE
        for each in end.way_back.chinese if is_chinese else end.way_back.english:
            yield self._line("way_back", line=each)

    def _picture(self, two: Way, one: Way) -> Iterator[str]:
        """A state diagram: the ways with two readers and with one, and every other end."""
        yield "```mermaid"
        yield "stateDiagram-v2"
        edges: dict[tuple[str, str], list[str]] = {}
        for way in (two, one):
            for step, following in zip(way.steps, way.steps[1:], strict=False):
                act = self._line("act", **_parts(self._explainer.step(step)))
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
        return say("lines", key, self._language, **parts)


def _parts(step: RegionStep) -> dict[str, str | Texts]:
    """What the sentence of a step is filled with."""
    return {
        "actor": step.who,
        "task": step.does,
        "prompt": step.reads,
        "key": step.key,
    }


def _node(key: str) -> str:
    """A moment's name as Mermaid takes it."""
    return key.replace(".", "_")
