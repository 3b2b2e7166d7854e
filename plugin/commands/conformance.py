"""`kaqi conformance`: put a vendor's POS into every situation that it must be able to deal
with, and look at what it asks."""

from __future__ import annotations

import http.client
import json
import tempfile
import urllib.request
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import DecodeError
from msgspec.json import decode

from plugin import main, simulated
from plugin.activation.problem import Problem
from plugin.commands import screen
from plugin.commands.conforming import checks
from plugin.commands.conforming.checks import Evidence, Report
from plugin.commands.conforming.counter import Counter
from plugin.commands.conforming.situations import SITUATIONS, Situation
from plugin.commands.failing import CannotError

CONFORMS, DOES_NOT = 0, 1
CONTRACT = 1
Verdict = dict[str, Any]


def run(url: str, keys: tuple[str, ...], seconds: float, *, as_json: bool) -> int:
    """Have the driver at `url` make its POS sell in these situations, or in all; returns
    whether it keeps every promise. Raises CannotError."""
    if not url.startswith(("http://", "https://")):
        raise CannotError(_usage(f"{url}: http://127.0.0.1:8765/"))
    chosen = _chosen(keys)
    verdicts: list[Verdict] = []
    with closing(simulated.Centre()) as centre:
        for situation in chosen:
            found = verdicts_on(url, situation, centre.address, seconds)
            verdicts += found
            if not as_json:
                _show(situation, found)
    passed = all(each["passed"] for each in verdicts)
    if as_json:
        screen.json_line({"passed": passed, "checks": verdicts})
    else:
        _sum_up(verdicts)
    return CONFORMS if passed else DOES_NOT


def verdicts_on(
    url: str, situation: Situation, centre: str, seconds: float
) -> list[Verdict]:
    """One sale through the driver at `url`, which may take so long, and every check that
    applies to it; `centre` is the address of a simulated centre."""
    with tempfile.TemporaryDirectory(prefix="kaqi-conformance-") as folder:
        evidence = _sold(url, situation, Path(folder), centre, seconds)
    return [
        {
            "scenario": situation.key,
            "check": check.key,
            "passed": not details,
            "promise": _words("checks", check.key),
            "details": details,
        }
        for check, details in checks.examined(evidence)
    ]


def _chosen(keys: tuple[str, ...]) -> list[Situation]:
    """The situations of these names. Raises CannotError."""
    known = {situation.key: situation for situation in SITUATIONS}
    for key in keys:
        if key not in known:
            raise CannotError(_usage(f"--scenario {key}: {', '.join(known)}"))
    return [known[key] for key in keys or known]


def _sold(
    url: str, situation: Situation, folder: Path, centre: str, seconds: float
) -> Evidence:
    """One sale in this situation."""
    with Counter(situation, folder, centre) as counter:
        order = {
            "contract": CONTRACT,
            "scenario": situation.key,
            "address": counter.address,
            "token": counter.token,
            "business": situation.scenario,
            "pin": situation.pin,
        }
        report, failure = None, ""
        try:
            report = _driven(url, order, seconds)
        except (DecodeError, OSError, http.client.HTTPException) as failed:
            failure = str(failed) or type(failed).__name__
        return Evidence(
            situation=situation,
            token=counter.token,
            calls=list(counter.recorder.calls),
            report=report,
            failure=failure,
            left_over=counter.left_over,
        )


def _driven(url: str, order: dict[str, Any], seconds: float) -> Report:
    """What the vendor's driver reports. Raises OSError, HTTPException and DecodeError."""
    asked = urllib.request.Request(  # noqa: S310 - the vendor's own driver
        url, json.dumps(order).encode(), {"Content-Type": "application/json"}
    )
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with directly.open(asked, timeout=seconds) as answer:
        return decode(answer.read(), type=Report)


def _show(situation: Situation, verdicts: Iterable[Verdict]) -> None:
    screen.line(f"\n{screen.said(_words('situations', situation.key))}")
    for each in verdicts:
        mark = "✓" if each["passed"] else "✗"
        screen.line(f"  {mark} {screen.said(each['promise'])}")
        for detail in each["details"]:
            screen.line(f"      {detail}")


def _sum_up(verdicts: list[Verdict]) -> None:
    broken = sum(not each["passed"] for each in verdicts)
    said = screen.said(_words("end", "broken" if broken else "kept"))
    screen.line(f"\n{said.format(checks=len(verdicts), broken=broken)}")


@cache
def _texts() -> dict[str, dict[str, dict[str, str]]]:
    return main.texts("conformance")()


def _words(section: str, key: str) -> dict[str, str]:
    found = _texts()[section][key]
    return {"zh-CN": found["zh"], "en": found["en"]}


def _usage(reason: str) -> Problem:
    return Problem("command.usage", {"reason": reason})
