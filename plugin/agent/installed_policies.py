"""What browsers were told by whoever administers this computer, read where it is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from plugin.agent.browser_policy import POLICIES, Installed

LINUX = {
    "Chrome": "etc/opt/chrome/policies/managed",
    "Chromium": "etc/chromium/policies/managed",
    "Edge": "etc/opt/edge/policies/managed",
}
WINDOWS = {
    "Chrome": r"SOFTWARE\Policies\Google\Chrome",
    "Edge": r"SOFTWARE\Policies\Microsoft\Edge",
}


def installed(root: Path = Path("/")) -> tuple[Installed, ...]:
    """The policies of every browser we know, whether it is there or not."""
    if sys.platform == "win32":
        return tuple(
            Installed(
                browser=browser,
                place=f"HKEY_LOCAL_MACHINE\\{key}",
                lists={name: tuple(_values(f"{key}\\{name}")) for name in POLICIES},
            )
            for browser, key in WINDOWS.items()
        )
    return tuple(
        Installed(
            browser=browser, place=f"/{folder}/kaqi.json", lists=_lists(root / folder)
        )
        for browser, folder in LINUX.items()
    )


def _lists(folder: Path) -> dict[str, tuple[str, ...]]:
    """Of two files that say the same policy, the last by name counts."""
    said: dict[str, Any] = {}
    for file in sorted(folder.glob("*")):
        with suppress(OSError, ValueError):  # the browser passes over it too
            found = json.loads(file.read_text(encoding="utf-8-sig"))
            said |= found if isinstance(found, dict) else {}
    lists = {name: said.get(name) for name in POLICIES}
    return {
        name: tuple(map(str, given))
        for name, given in lists.items()
        if isinstance(given, list)
    }


if sys.platform == "win32":
    import winreg

    def _values(key: str) -> Iterator[str]:
        """The values of a key of the registry, the machine's first."""
        for hive in (winreg.HKEY_LOCAL_MACHINE, winreg.HKEY_CURRENT_USER):
            with suppress(OSError), winreg.OpenKey(hive, key) as opened:
                for index in range(winreg.QueryInfoKey(opened)[1]):
                    yield str(winreg.EnumValue(opened, index)[1])
