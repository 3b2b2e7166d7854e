"""`kaqi conformance`: put a vendor's POS into every situation that it must be able to deal
with, and look at what it asks."""

from __future__ import annotations

import http.client
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import DecodeError
from msgspec.json import decode

from plugin import main
from plugin.activation.problem import Problem
from plugin.commands import screen
from plugin.commands.conforming import checks
from plugin.commands.conforming.checks import Evidence, Report
from plugin.commands.conforming.counter import Counter
from plugin.commands.conforming.situations import SITUATIONS, Situation
from plugin.commands.failing import CannotError

CONFORMS, DOES_NOT = 0, 1
CONTRACT = 1
Words = dict[str, str]
Verdict = dict[str, Any]


def run(url: str, keys: tuple[str, ...], seconds: float, *, as_json: bool) -> int:
    """Have the driver at `url` make its POS sell in these situations, or in all; returns
    whether it keeps every promise. Raises CannotError."""
    verdicts = []
    words = main.texts("conformance")()
    chosen = _chosen(keys)
    with (
        closing(main.SimulatedCentre()) as centre,
        tempfile.TemporaryDirectory(prefix="kaqi-conformance-") as folder,
    ):
        for situation in chosen:
            place = Path(folder) / situation.key
            place.mkdir()
            evidence = _sold(url, situation, place, centre.address, seconds)
            found = list(_verdicts(evidence, words))
            verdicts += found
            if not as_json:
                _show(words["situations"][situation.key], found)
    passed = all(each["passed"] for each in verdicts)
    if as_json:
        screen.json_line({"passed": passed, "checks": verdicts})
    else:
        _sum_up(verdicts, words)
    return CONFORMS if passed else DOES_NOT


def _chosen(keys: tuple[str, ...]) -> list[Situation]:
    """The situations of these names. Raises CannotError."""
    known = {situation.key: situation for situation in SITUATIONS}
    for key in keys:
        if key not in known:
            reason = f"--scenario {key}: {', '.join(known)}"
            raise CannotError(Problem("command.usage", {"reason": reason}))
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
        )


def _driven(url: str, order: dict[str, Any], seconds: float) -> Report:
    """What the vendor's driver reports. Raises OSError, HTTPException and DecodeError."""
    asked = urllib.request.Request(  # noqa: S310 - the vendor's own driver
        url, json.dumps(order).encode(), {"Content-Type": "application/json"}
    )
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with directly.open(asked, timeout=seconds) as answer:
        return decode(answer.read(), type=Report)


def _verdicts(evidence: Evidence, words: dict[str, Any]) -> Iterator[Verdict]:
    for check, details in checks.examined(evidence):
        yield {
            "scenario": evidence.situation.key,
            "check": check.key,
            "passed": not details,
            "promise": _both(words["checks"][check.key]),
            "details": details,
        }


def _both(words: Words) -> Words:
    return {"zh-CN": words["zh"], "en": words["en"]}


def _show(situation: Words, verdicts: Iterable[Verdict]) -> None:
    screen.line(f"\n{screen.said(_both(situation))}")
    for each in verdicts:
        mark = "✓" if each["passed"] else "✗"
        screen.line(f"  {mark} {screen.said(each['promise'])}")
        for detail in each["details"]:
            screen.line(f"      {detail}")


def _sum_up(verdicts: list[Verdict], words: dict[str, Any]) -> None:
    broken = [each for each in verdicts if not each["passed"]]
    key = "broken" if broken else "kept"
    said = screen.said(_both(words["end"][key]))
    screen.line(f"\n{said.format(checks=len(verdicts), broken=len(broken))}")
