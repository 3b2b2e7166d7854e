"""`kaqi console`: the operator's page, opened with a code that works once."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping

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
    kaqi = serve.running_agent(options)
    made = kaqi.call("POST", "/v1/console/codes", {})
    address = f"http://{kaqi.address}/#code={made['code']}"
    if as_json:
        screen.json_line({"address": address, "expires_in": made["expires_in"]})
    else:
        screen.line(screen.said(_SAID["once"]).format(seconds=made["expires_in"]))
        screen.line(address)
    if opens:
        webbrowser.open(address)
    return OPENED
