"""Judges of one screen as it stands: axe-core, and the layout at every size of a counter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

from tests.browser.screens import COUNTER

# All rules of WCAG 2.2 at A and AA, and axe-core's own advice.
RULES = (
    "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice",
)  # fmt: skip
OPTIONS = {"runOnly": list(RULES), "resultTypes": ["violations"]}
THOROUGH = bool(os.environ.get("KAQI_SCREENS"))
_AXE = Axe()
_LAYOUT = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")
_SCRIPT = _LAYOUT[_LAYOUT.index("() => {") :].rstrip().removesuffix(";")
# The counter's screen, a tablet held upright, the counter's screen at 200 %, and 400 % of
# a wide one (WCAG 2.2, 1.4.10).
SIZES: dict[str, ViewportSize] = {
    "at the counter": COUNTER,
    "on a tablet": {"width": 768, "height": 1024},
    "at 200 %": {"width": 512, "height": 384},
    "at 400 %": {"width": 320, "height": 256},
}
# As far apart as a reader may set it (1.4.12). A sheet that a script makes is no inline one.
_SPACED = """on => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: 0.12em !important;
    word-spacing: 0.16em !important } p { margin-bottom: 2em !important }`);
  document.adoptedStyleSheets = on ? [sheet] : [];
}"""


def by_axe(page: Page) -> Iterator[str]:
    """What axe-core finds, serious or not."""
    for each in _AXE.run(page, options=OPTIONS).response["violations"]:
        yield f"{each['impact']}: {each['id']} {_places(each)}"


def _places(violation: dict[str, Any]) -> str:
    return ", ".join(str(node["target"]) for node in violation["nodes"])


def as_it_stands(page: Page) -> Iterator[str]:
    """What is cut off, overlaps, is too small or is hidden, at the counter."""
    yield from page.evaluate(_SCRIPT)


def by_layout(page: Page) -> Iterator[str]:
    """The same at every size; between the widest and the narrowest only in `make soak`."""
    usual = {name: SIZES[name] for name in ("at the counter", "at 400 %")}
    for name, size in (SIZES if THOROUGH else usual).items():
        page.set_viewport_size(size)
        yield from (f"{name}: {each}" for each in page.evaluate(_SCRIPT))
    page.set_viewport_size(COUNTER)
    page.evaluate(_SPACED, True)
    yield from (f"spaced: {each}" for each in page.evaluate(_SCRIPT))
    page.evaluate(_SPACED, False)
