"""Every screen for everybody: axe-core, the layout at every size, the keyboard, paper, and
whoever has set colours or motion otherwise."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.judging import by_axe, by_layout
from tests.browser.screens import SCREENS, shown, staged
from tests.centre import CentreProcess


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_for_everybody(
    chromium: Browser, centre: CentreProcess, name: str
) -> None:
    screen = SCREENS[name]

    with staged(screen, chromium, centre) as stage:
        found = [
            f"{language}: {each}"
            for language in shown(screen, stage)
            for each in (*by_axe(stage.page), *by_layout(stage.page))
        ]

    assert found == []
