"""A region's own ways back and words, from its profile to the counter."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from plugin.activation.region import Holders
from plugin.profile_file import load_profile
from simulator.reader import InProcessDesk
from tests.agents import running
from tests.centre import CentreProcess
from tests.scenario.counter import Counter

HALL = {"zh-CN": "市民服务大厅", "en": "the citizens' hall"}
SWIPE = {"zh-CN": "请出示新卡", "en": "Show the new card"}


def test_a_holder_is_sent_where_this_region_says(
    tmp_path: Path, centre: CentreProcess
) -> None:
    hand = InProcessDesk()
    region = replace(
        load_profile("reference"),
        ways_back={"card.lost": ("replace_card",)},
        places={"social_security_centre": HALL},
        holders=Holders(proxies=frozenset({"social_security_centre"})),
        wording={"waiting_card.social_security": SWIPE},
    )
    with running(
        tmp_path, centre.address, {"inprocess": hand}, hand, profile=region
    ) as started:
        counter = Counter(started, hand)

        counter.start("outpatient_registration")
        asked = counter.reaches("waiting_card.social_security")
        counter.put("luo.social_security")
        ended = counter.reaches("failed")

        published = counter.pos.request("GET", "/v1/errors").body["errors"]

    assert asked.instruction() == SWIPE["zh-CN"]
    (way,) = ended.way_back
    first, second = way["stops"]
    assert (way["key"], first["place"]) == ("replace_card", HALL)
    assert len(first["proxy_documents"]) == 3
    assert second["proxy_documents"] == []
    assert ended.problem is not None
    assert ended.problem["remedy"]["zh-CN"][0] == (
        "1. 到市民服务大厅：补领新的社会保障卡"
        "（带：持卡人身份证；请人代办另带：代办人身份证、授权委托书）"
    )
    (listed,) = (each for each in published if each["code"] == "card.lost")
    assert listed["way_back"] == ended.way_back
