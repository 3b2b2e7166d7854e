"""`make screenshots`: every screen of the console in both languages, to be looked at.

They go to build/screenshots, which is not tracked: at the counter's 1024 x 768; the moments
that matter most on an upright tablet and at 200 % as well; what is printed, as the printer
gets it. The two pictures of the README are renewed in docs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.conftest import launched
from tests.browser.paper import PAPERS, printed
from tests.browser.screens import LANGUAGES, SCREENS, shown, staged, word
from tests.centre import CentreProcess

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "screenshots"
README = {"confirm.zh-CN": "console-counter.png", "desk.en": "console-desk.png"}
ELSEWHERE = (
    "choice", "wrong-card", "confirm", "pin-last-try", "success", "refusal", "today",
    "settle", "desk",
)  # fmt: skip
LOOKS: dict[str, dict[str, object]] = {
    "tablet": {"viewport": {"width": 768, "height": 1024}},
    "200": {"viewport": {"width": 512, "height": 384}, "device_scale_factor": 2},
    "forced": {"forced_colors": "active"},
}


def main() -> None:
    """Draw all of them, or the screens named on the command line."""
    wanted = sys.argv[1:] or list(SCREENS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with launched() as chromium, CentreProcess() as centre:
        for number, name in enumerate(wanted, start=1):
            drawn = list(_drawn(name, chromium, centre))
            _say(f"[{number}/{len(wanted)}] {name}: {len(drawn)} pictures")
    for drawing, picture in README.items():
        if (FOLDER / f"{drawing}.png").exists():
            shutil.copy(FOLDER / f"{drawing}.png", ROOT / "docs" / picture)
    _say(f"in {FOLDER.relative_to(ROOT)}; those of the README in docs")


def _drawn(name: str, chromium: Browser, centre: CentreProcess) -> Iterator[Path]:
    screen = SCREENS[name]
    looks = {"": {}, **(LOOKS if name in ELSEWHERE else {})}
    for look, context in looks.items():
        with staged(screen, chromium, centre, **context) as stage:
            for language in shown(screen, stage):
                place = FOLDER / f"{name}.{language}{look and '.'}{look}.png"
                stage.page.screenshot(path=place, full_page=look != "")
                yield place
    if name in PAPERS:
        yield from _on_paper(name, chromium, centre)


def _on_paper(name: str, chromium: Browser, centre: CentreProcess) -> Iterator[Path]:
    for language in LANGUAGES:
        with staged(SCREENS[name], chromium, centre) as stage:
            next(each for each in shown(SCREENS[name], stage) if each == language)
            page = printed(stage.page, word(PAPERS[name], language))
            page.set_viewport_size({"width": 794, "height": 1123})  # A4 at 96 dpi
            place = FOLDER / f"{name}.{language}.paper.png"
            page.screenshot(path=place)
            yield place


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
