"""`kaqi clients`: who may call this machine's agent, and whose token is to be void."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from msgspec.structs import asdict

from plugin.activation.problem import Problem
from plugin.agent.service import Client
from plugin.client import (
    Kaqi,
    KaqiError,
    KaqiImpostorError,
    KaqiUnreachableError,
)
from plugin.commands import screen, serve
from plugin.commands.failing import CannotError
from plugin.commands.serve import Options

DONE, REFUSED = 0, 1
_SAID: Mapping[str, Mapping[str, str]] = {
    "none": {"zh-CN": "没有客户端。", "en": "No client is paired."},
    "revoked": {
        "zh-CN": "已注销 {client}，它的令牌作废。",
        "en": "{client} is revoked: its token is void.",
    },
    "": {"zh-CN": "本机程序", "en": "a program on this machine"},
    "anywhere": {"zh-CN": "任何地方", "en": "anywhere"},
}


def show(options: Options, *, as_json: bool) -> int:
    """Who may call. Raises DataFolderError."""
    found = sorted(serve.opened_folder(options).clients(), key=lambda each: each.id)
    if as_json:
        screen.json_line([{**asdict(each), "scopes": _scopes(each)} for each in found])
        return DONE
    for each in found:
        scopes = " ".join(_scopes(each))
        screen.line(f"{each.id}  {scopes}  {_place(each)}  {each.paired_at}")
    if not found:
        screen.line(screen.said(_SAID["none"]))
    return DONE


def revoke(options: Options, client: str, *, as_json: bool) -> int:
    """Void a client's token: by the agent, which ends its event streams too, and where none
    runs in the folder. Raises CannotError and DataFolderError."""
    kaqi = _agent(options)
    try:
        if kaqi is not None:
            kaqi.call("POST", f"/v1/clients/{quote(client, safe='')}/revoke", {})
        elif not serve.opened_folder(options).revoke(client):
            raise CannotError(Problem("client.unknown"))
    except KaqiError as refused:
        screen.pass_on(refused.problem, as_json=as_json)
        return REFUSED
    if not as_json:
        screen.line(screen.said(_SAID["revoked"]).format(client=client))
    return DONE


def _agent(options: Options) -> Kaqi | None:
    """The agent, if it runs."""
    try:
        kaqi = serve.running_agent(options)
        kaqi.readers()
    except (CannotError, KaqiUnreachableError, KaqiImpostorError):
        return None
    return kaqi


def _scopes(client: Client) -> list[str]:
    return sorted(client.scopes)


def _place(client: Client) -> str:
    if client.origin is None:
        return screen.said(_SAID["anywhere"])
    return client.origin or screen.said(_SAID[""])
