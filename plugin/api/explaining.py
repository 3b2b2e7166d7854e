"""What a region's rules mean at the counter, in plain words: for `kaqi region explain` and the
console."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from plugin.activation import flow
from plugin.activation.flow import End, FlowStep, Way
from plugin.activation.region import (
    ActivationBy,
    Chosen,
    Effect,
    NewPin,
    RegionProfile,
    Window,
)
from plugin.activation.saga import Dedupe
from plugin.api import answers
from plugin.api.answers import Remedies, Texts
from plugin.api.problems import Catalogue, Prompts
from plugin.api.wording import Wording, listed

_UNKNOWN = {"last_day": "…"}  # what a sentence leaves open until there is a card


class Explainer:
    """One region. `catalogue` and `prompts` are this region's, `wording` is that of
    texts/explain.toml."""

    def __init__(
        self,
        profile: RegionProfile,
        catalogue: Catalogue,
        prompts: Prompts,
        wording: Wording,
    ) -> None:
        self._profile = profile
        self._catalogue = catalogue
        self._prompts = prompts
        self._say = wording.texts

    def region(self, chosen: Iterable[Chosen]) -> answers.Region:
        """Everything there is to say about these scenarios, and about all of them."""
        profile = self._profile
        name = Texts(chinese=profile.name["zh-CN"], english=profile.name["en"])
        return answers.Region(
            id=profile.id,
            version=profile.version,
            name=name,
            ways=[self._way(each) for each in chosen],
            pins=list(self._pins()),
            windows=list(self._windows()),
            holders=list(self._holders()),
        )

    def ways(self, chosen: Chosen) -> tuple[Way, Way]:
        """With two readers, and with one."""
        two, one = (
            flow.way(self._profile, chosen.rules, chosen.scenario, readers)
            for readers in (2, 1)
        )
        return two, one

    def step(self, step: FlowStep) -> answers.RegionStep:
        """Who does what, and what is read there."""
        return answers.RegionStep(
            key=step.key,
            actor=step.actor.value,
            who=self._say("actors", step.actor),
            does=self._say("tasks", step.task),
            reads=self._prompts.text(step.state, step.detail),
        )

    def _way(self, chosen: Chosen) -> answers.RegionWay:
        two, one = self.ways(chosen)
        by = chosen.rules.activation_by
        return answers.RegionWay(
            kind=chosen.kind.value,
            scenario=chosen.scenario.value,
            activation_by=by.value,
            place=self._say("kinds", chosen.kind),
            name=self._say("scenarios", chosen.scenario),
            steps=[self.step(each) for each in two.steps],
            one_reader=list(self._with_one_reader(two, one)),
            by=self._say("by", by),
            lost=self._lost(by),
            ends=[self._end(each) for each in one.ends],
        )

    def _with_one_reader(self, two: Way, one: Way) -> Iterator[answers.RegionDetour]:
        same = SequenceMatcher(a=two.keys, b=one.keys, autojunk=False)
        for _, before, _, begin, end in same.get_opcodes():
            more = [each for each in one.steps[begin:end] if each not in two.steps]
            if more:
                steps = [self.step(each) for each in more]
                yield answers.RegionDetour(after=before, steps=steps)

    def _lost(self, by: ActivationBy) -> Texts:
        """What happens without an answer: by what the centre can do, where it is asked."""
        abilities, clocks = self._profile.centre.abilities, self._profile.clocks
        key = by.value
        if by is ActivationBy.CENTRE:
            asked = abilities.dedupe is Dedupe.NONE and abilities.can_tell_status
            key = "none_but_asked" if asked else abilities.dedupe.value
        minutes = f"{round(clocks.registration / 60, 1):g}"
        seconds = abilities.message_life_ms // 1000
        return self._say("lost", key, seconds=seconds, minutes=minutes)

    def _end(self, end: End) -> answers.RegionEnd:
        """Its sentence, and the way back."""
        if end.code is None:
            state, _, detail = end.key.partition(".")
            says = self._prompts.text(state, detail or None)
            back = Remedies(chinese=[], english=[])
            return answers.RegionEnd(
                key=end.key, code=None, says=says, way_back=back, final=end.final
            )
        entry, facts = self._catalogue.entry(end.code), {**_UNKNOWN, **end.facts}
        remedy = self._catalogue.remedy(entry, facts)
        stops = sum(len(way.stops) for way in self._catalogue.way_back(entry))
        back = Remedies(
            chinese=remedy.chinese[len(remedy.chinese) - stops :],
            english=remedy.english[len(remedy.english) - stops :],
        )
        return answers.RegionEnd(
            key=end.key,
            code=end.code,
            says=entry.messages(facts),
            way_back=back,
            final=end.final,
        )

    def _pins(self) -> Iterator[Texts]:
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
            initial = [
                Texts(chinese=pin, english=pin) for pin in sorted(policy.initial)
            ]
            yield self._say("pin_notes", "initial", initial=listed(initial))
        yield self._say("pin_notes", "tries" if policy.show_tries else "no_tries")
        yield self._say("pin_notes", "clock", seconds=self._profile.clocks.pin)

    def _windows(self) -> Iterator[Texts]:
        profile = self._profile
        if not profile.centre.offers.card_status:
            yield self._say("window_notes", "not_judged")
            return
        for name, window in (
            ("activation", profile.activation_window),
            ("financial", profile.financial_window),
        ):
            yield self._window(name, window)

    def _window(self, name: str, window: Window) -> Texts:
        parts = {
            "name": self._say("windows", name),
            "from": self._say("counts_from", window.counts_from),
            "effect": self._say("effects", Effect(window.effect)),
        }
        return self._say("window_notes", "window", days=window.days, **parts)

    def _holders(self) -> Iterator[Texts]:
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
        places = [self._catalogue.place(key) for key in sorted(holders.proxies)]
        yield self._say("holders", "proxies", places=listed(places))
