"""By whose rules, in words: what the console shows is what the command explains."""

from __future__ import annotations

from msgspec import convert

from plugin.activation import flow
from plugin.api import answers
from plugin.profile_file import load_profile
from tests.agents import PHARMACY, Running


def test_the_rules_of_this_institution_are_told_in_both_languages(
    shared_agent: Running,
) -> None:
    profile = load_profile("reference")
    chosen = [each for each in profile.chosen() if each.kind is PHARMACY.kind]

    told = convert(shared_agent.pos.request("GET", "/v1/region").body, answers.Region)

    assert (told.id, told.version) == (profile.id, profile.version)
    assert (told.name.chinese, told.name.english) == (
        profile.name["zh-CN"],
        profile.name["en"],
    )
    assert [(each.kind, each.scenario) for each in told.ways] == [
        (each.kind.value, each.scenario.value) for each in chosen
    ]
    for each, way in zip(chosen, told.ways, strict=True):
        explained = flow.way(profile, each.rules, each.scenario)
        assert [step.key for step in way.steps] == list(explained.keys)
        assert {end.code for end in way.ends} >= {end.code for end in explained.ends}
    assert all((told.pins, told.windows, told.holders))


def test_who_may_read_may_read_the_rules(shared_agent: Running) -> None:
    token = shared_agent.folder.pair("reader", ("read",))
    other = shared_agent.folder.pair("activator", ("activate",))

    def asked(by: str) -> int:
        headers = {"Authorization": f"Bearer {by}"}
        return shared_agent.pos.request("GET", "/v1/region", headers=headers).status

    assert (asked(token), asked(other)) == (200, 403)
