"""The operator's console, signed in and open at one of its screens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.agents import Pos, Running

SECONDS = 30_000  # a busy machine is not what is asked about
expect.set_options(timeout=SECONDS)
_NAMES = {
    "today": {"zh-CN": "今日", "en": "Today"},
    "readers": {"zh-CN": "读卡器", "en": "Readers"},
    "settings": {"zh-CN": "设置", "en": "Settings"},
}


@contextmanager
def console(
    agent: Running,
    chromium: Browser,
    screen: str,
    language: str = "zh-CN",
    **context: Any,  # noqa: ANN401 - Playwright's
) -> Iterator[Page]:
    """Open it in a browser of its own."""
    operator = Pos(agent.port, agent.folder.operator_token())
    code = operator.request("POST", "/v1/console/codes", {}).body["code"]
    opened = chromium.new_context(viewport={"width": 1024, "height": 768}, **context)
    page = opened.new_page()
    page.add_init_script(f"localStorage.setItem('kaqi.language', '{language}')")
    page.goto(f"http://127.0.0.1:{agent.port}/#code={code}")
    name = _NAMES[screen][language]
    page.get_by_role("navigation").get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name, timeout=SECONDS)
    yield page
    opened.close()


def walk_to(page: Page, name: str, role: Any = "button") -> None:  # noqa: ANN401 - a literal
    """Go to this with Tab alone."""
    wanted = page.get_by_role(role, name=name, exact=True)
    expect(wanted).to_be_visible(timeout=SECONDS)
    for _ in range(40):
        if wanted.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {name}")
