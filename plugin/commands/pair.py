"""`kaqi pair`: who asks to be let in, and the tokens of this machine's agent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from plugin.activation.problem import Problem
from plugin.agent.clients import RESERVED, SCOPES
from plugin.client import Kaqi, KaqiError
from plugin.commands import screen, serve
from plugin.commands.failing import CannotError
from plugin.commands.serve import Options

USUAL = ("read", "activate", "identity")
CLIENT = re.compile(r"[0-9A-Za-z._-]{1,40}")
DONE, REFUSED = 0, 1
_SAID: Mapping[str, Mapping[str, str]] = {
    "none": {"zh-CN": "没有等待配对的程序。", "en": "No program asks to be paired."},
    "asks": {
        "zh-CN": "{id}  {client} {version}  请求权限 {scopes}  来自 {origin}  有效至 {until}",
        "en": "{id}  {client} {version}  asks for {scopes}  from {origin}  until {until}",
    },
    "replaces": {
        "zh-CN": "    批准后，{client} 原来的配对作废。",
        "en": "    The earlier pairing of {client} will be void.",
    },
    "program": {"zh-CN": "本机程序", "en": "a program on this machine"},
    "question": {
        "zh-CN": "客户端屏幕上显示的 6 位配对码（直接回车则不批准）",
        "en": "The six digits that the client shows (only Enter: not now)",
    },
    "how": {
        "zh-CN": "批准：kaqi pair --approve 配对码；拒绝：kaqi pair --deny 编号",
        "en": "To let it in: kaqi pair --approve CODE; to refuse: kaqi pair --deny ID",
    },
    "approved": {
        "zh-CN": "已批准 {client}（{scopes}）。",
        "en": "{client} is let in ({scopes}).",
    },
    "denied": {"zh-CN": "已拒绝 {client}。", "en": "{client} is refused."},
}


def run(
    client: str,
    scopes: tuple[str, ...],
    origin: str | None,
    options: Options,
    *,
    as_json: bool,
) -> int:
    """Make a token at once and show it. Raises CannotError and DataFolderError."""
    wanted = scopes or USUAL
    wrong = [scope for scope in wanted if scope not in SCOPES]
    if wrong:
        raise CannotError(_usage(f"--scope {wrong[0]}: {', '.join(SCOPES)}"))
    if client in RESERVED or not CLIENT.fullmatch(client):
        taken = " ".join(sorted(RESERVED))
        raise CannotError(_usage(f"{client}: 0-9 A-Z a-z . _ -, 1-40, not {taken}"))
    folder = serve.opened_folder(options)
    folder.dedicate(simulated=options.simulate)
    token = folder.pair(client, wanted, origin)
    if as_json:
        screen.json_line({"client_id": client, "token": token})
    else:
        screen.line(token)
    return DONE


def show(
    options: Options, *, as_json: bool, ask: Callable[[str], str] | None = None
) -> int:
    """Who asks to be let in; `ask` has somebody type the code. Raises CannotError."""
    kaqi = serve.running_agent(options)
    waiting = _waiting(kaqi)
    if as_json:
        screen.json_line(waiting)
        return DONE
    for each in waiting:
        _show(each)
    if not waiting:
        screen.line(screen.said(_SAID["none"]))
        return DONE
    code = ask(screen.said(_SAID["question"])).strip() if ask else ""
    if code:
        return _approved(kaqi, waiting, code, as_json=as_json)
    screen.line(screen.said(_SAID["how"]))
    return DONE


def approve(options: Options, code: str, *, as_json: bool) -> int:
    """Let in whoever shows this code. Raises CannotError."""
    kaqi = serve.running_agent(options)
    return _approved(kaqi, _waiting(kaqi), code, as_json=as_json)


def deny(options: Options, pairing_id: str, *, as_json: bool) -> int:
    """Refuse one. Raises CannotError."""
    kaqi = serve.running_agent(options)
    try:
        denied = kaqi.call(
            "POST", f"/v1/pairings/{quote(pairing_id, safe='')}/deny", {}
        )
    except KaqiError as refused:
        screen.pass_on(refused.problem, as_json=as_json)
        return REFUSED
    _tell("denied", denied, as_json=as_json)
    return DONE


def _approved(
    kaqi: Kaqi, waiting: list[dict[str, Any]], code: str, *, as_json: bool
) -> int:
    """The codes are on the clients' screens only, so it is tried on each that waits."""
    body: Mapping[str, Any] = _body_of(Problem("pairing.unknown"))
    for each in waiting:
        try:
            path = f"/v1/pairings/{each['id']}/approve"
            approved = kaqi.call("POST", path, {"code": code})
        except KaqiError as refused:
            body = refused.problem
            if refused.code != "pairing.wrong_code":
                break
        else:
            _tell("approved", approved, as_json=as_json)
            return DONE
    screen.pass_on(body, as_json=as_json)
    return REFUSED


def _waiting(kaqi: Kaqi) -> list[dict[str, Any]]:
    found = kaqi.call("GET", "/v1/pairings")["pairings"]
    return [each for each in found if each["state"] == "waiting"]


def _show(pairing: Mapping[str, Any]) -> None:
    facts = {
        **pairing,
        "version": pairing["version"] or "",
        "scopes": " ".join(pairing["scopes"]),
        "origin": pairing["origin"] or screen.said(_SAID["program"]),
        "until": pairing["expires_at"][11:19],
    }
    screen.line(screen.said(_SAID["asks"]).format(**facts))
    if pairing["replaces"]:
        screen.line(screen.said(_SAID["replaces"]).format(**facts))


def _tell(key: str, pairing: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        screen.json_line(pairing)
        return
    scopes = " ".join(pairing["scopes"])
    sentence = screen.said(_SAID[key])
    screen.line(sentence.format(client=pairing["client"], scopes=scopes))


def _body_of(problem: Problem) -> Mapping[str, Any]:
    from plugin import main

    return main.catalogue().body(problem)


def _usage(reason: str) -> Problem:
    return Problem("command.usage", {"reason": reason})
