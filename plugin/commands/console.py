"""`kaqi console`: the operator's page, opened with a code that works once."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping

from plugin.agent.console import CODE_SECONDS
from plugin.client import Kaqi
from plugin.commands import screen, serve
from plugin.commands.serve import Options

OPENED = 0
_SAID: Mapping[str, Mapping[str, str]] = {
    "once": {
        "zh-CN": "{seconds} 秒内打开，只能用一次：",
        "en": "Open within {seconds} s; it works once:",
    }
}


def run(options: Options, *, opens: bool, as_json: bool) -> int:
    """Say where the console is, and open it. A code that somebody overhears, in the list of
    processes for example, is worth nothing: used twice, it closes what it opened. Raises
    CannotError."""
    address = address_of(serve.running_agent(options))
    if as_json:
        screen.json_line({"address": address, "expires_in": CODE_SECONDS})
    else:
        screen.line(screen.said(_SAID["once"]).format(seconds=CODE_SECONDS))
        screen.line(address)
    if opens:
        webbrowser.open(address)
    return OPENED


def address_of(kaqi: Kaqi, seconds: int = CODE_SECONDS) -> str:
    """An address that opens the console once, for so long: at the counter, or at the desk
    where nothing is real. Asks as the operator."""
    made = kaqi.call("POST", "/v1/console/codes", {"seconds": seconds})
    mode = kaqi.call("GET", "/v1/agent")["mode"]
    where = "desk" if mode == "simulation" else "journey"
    return f"http://{kaqi.address}/#code={made['code']}&screen={where}"
