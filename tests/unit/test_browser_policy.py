"""The browser's policies, read as Chromium reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugin import main
from plugin.agent.browser_policy import (
    ALLOWED,
    SECURE,
    Installed,
    finding,
    lets,
    wanted,
)
from plugin.agent.installed_policies import LINUX, installed

HIS = "https://his.example"
PLAIN = "http://his.example:8080"
OLDER = "LocalNetworkAccessAllowedForUrls"
BLOCKED = "LoopbackNetworkBlockedForUrls"
OLDER_BLOCKED = "LocalNetworkAccessBlockedForUrls"

# What Chromium 156 was seen to do with each of them.
PATTERNS = [
    ("https://his.example", HIS, True),
    ("HTTPS://HIS.EXAMPLE", HIS, True),
    ("https://his.example/", HIS, True),
    ("https://his.example/path", HIS, True),
    ("https://his.example:443", HIS, True),
    ("https://his.example:8443", HIS, False),
    ("https://his.example", "https://his.example:8443", True),
    ("https://his.example:*", "https://his.example:8443", True),
    ("his.example", HIS, True),
    ("*://his.example", HIS, True),
    ("http://his.example", HIS, False),
    ("*", HIS, True),
    ("https://*", HIS, True),
    ("*:443", HIS, True),
    ("[*.]his.example", HIS, True),
    ("[*.]his.example", "https://a.his.example", True),
    ("[*.]his.example", "https://this.example", False),
    ("his.example", "https://a.his.example", False),
    ("*.his.example", "https://a.his.example", False),
    ("https://[fd00::1]", "https://[fd00::1]:8443", True),
    ("not a pattern", HIS, False),
    ("", HIS, False),
]


@pytest.mark.parametrize(("pattern", "origin", "covered"), PATTERNS)
def test_a_pattern_covers_what_the_browser_takes_it_for(
    pattern: str, origin: str, covered: bool
) -> None:
    assert lets({ALLOWED: [pattern]}, origin) == covered


@pytest.mark.parametrize(
    ("lists", "through"),
    [
        ({}, False),
        ({ALLOWED: [HIS]}, True),
        ({OLDER: [HIS]}, True),
        ({OLDER: [HIS], BLOCKED: ["*"]}, False),
        ({OLDER: [HIS], OLDER_BLOCKED: ["*"]}, False),
        ({ALLOWED: [HIS], OLDER_BLOCKED: ["*"]}, True),
        ({ALLOWED: [HIS], BLOCKED: [HIS]}, False),
    ],
)
def test_the_narrower_policy_decides_and_a_block_before_a_permission(
    lists: dict[str, list[str]], through: bool
) -> None:
    assert lets(lists, HIS) == through


@pytest.mark.parametrize(
    ("secure", "through"),
    [
        ([], False),
        ([PLAIN], True),
        ([f"{PLAIN}/"], True),
        (["http://his.example"], False),
        (["his.example"], False),
        (["*.example"], True),
        (["*.his.example"], False),
    ],
)
def test_a_plain_http_page_must_be_taken_for_secure_besides(
    secure: list[str], through: bool
) -> None:
    assert lets({ALLOWED: ["*"], SECURE: secure}, PLAIN) == through


def test_what_is_missing_is_named_with_its_place_and_its_value() -> None:
    browsers = (
        Installed(browser="A", place="/a/kaqi.json", lists={ALLOWED: (HIS,)}),
        Installed(browser="B", place="/b/kaqi.json", lists={}),
    )

    found = finding({PLAIN, HIS, "http://localhost:8080"}, browsers)

    assert found is not None
    assert not found.ok
    assert not found.required
    assert found.problem is not None
    told = main.catalogue().body(found.problem)
    value = '{"LoopbackNetworkAllowedForUrls": ["http://his.example:8080", "https://his.example"], "OverrideSecurityRestrictionsOnInsecureOrigin": ["http://his.example:8080"]}'
    for language in ("zh-CN", "en"):
        assert "/a/kaqi.json | /b/kaqi.json" in told["remedy"][language][0]
        assert value in told["remedy"][language][0]


def test_what_doctor_says_to_write_is_enough(tmp_path: Path) -> None:
    folder = tmp_path / LINUX["Edge"]
    folder.mkdir(parents=True)
    (folder / "kaqi.json").write_text(wanted([HIS, PLAIN]), encoding="utf-8")

    found = finding([HIS, PLAIN], installed(tmp_path))

    assert found is not None
    assert found.ok
    assert found.detail == "Edge"


def test_the_last_file_by_name_counts_and_a_damaged_one_does_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / LINUX["Chrome"]
    folder.mkdir(parents=True)
    (folder / "1.json").write_text(json.dumps({ALLOWED: [HIS], SECURE: "odd"}))
    (folder / "2.json").write_text(json.dumps({ALLOWED: [PLAIN]}))
    (folder / "3.json").write_text("{")
    (folder / "4.json").write_text("[]")

    chrome = next(each for each in installed(tmp_path) if each.browser == "Chrome")

    assert chrome.lists == {ALLOWED: (PLAIN,)}


@pytest.mark.parametrize("origins", [[], ["http://localhost:81", "http://[::1]:82"]])
def test_pages_of_this_computer_need_no_policy(origins: list[str]) -> None:
    assert finding(origins, installed()) is None
