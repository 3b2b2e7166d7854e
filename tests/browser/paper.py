"""What the holder takes along on paper."""

from __future__ import annotations

from playwright.sync_api import Page

# By the screen, the words on the button that prints.
PAPERS = {"success": "print_receipt", "refusal": "print_way"}


def printed(page: Page, button: str) -> Page:
    """The page as the printer gets it; the dialog of the browser is left out."""
    page.evaluate("() => { window.print = () => { window.wasPrinted = true; }; }")
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_function("() => window.wasPrinted")
    page.emulate_media(media="print")
    return page
