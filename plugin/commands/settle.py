"""`kaqi settle`: what a person has found out about an activation in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from plugin.activation import saga
from plugin.activation.problem import Problem
from plugin.client import KaqiError, KaqiUnreachableError
from plugin.commands import screen, serve
from plugin.commands.failing import CannotError
from plugin.commands.serve import Options

SETTLED, REFUSED = 0, 1
_SAID: Mapping[str, Mapping[str, str]] = {
    "none": {
        "zh-CN": "没有需要人工处理的启用。",
        "en": "No activation needs a person.",
    },
    "ask": {
        "zh-CN": "向医保中心核实：机构 {institution}，报文编号 {message}，{since} 提交",
        "en": "Ask the insurance centre: institution {institution}, message {message}, sent {since}",
    },
    "card": {
        "zh-CN": "改密码启用时被打断；持卡人带卡回来即可确认",
        "en": "A change of the PIN was interrupted; the card settles it when it returns",
    },
    "by_time": {
        "zh-CN": "向医保中心核实：机构 {institution}，{since} 受理，这张卡是否已启用",
        "en": "Ask the insurance centre: institution {institution}, begun {since}, is the card active?",
    },
    "then": {
        "zh-CN": "然后：kaqi settle {id} --verdict active|rejected --reason … --operator …",
        "en": "Then: kaqi settle {id} --verdict active|rejected --reason … --operator …",
    },
    "settled": {"zh-CN": "已了结：{state}", "en": "Settled: {state}"},
}


class Said(Struct, frozen=True):
    """What was found out, why, and by whom."""

    verdict: str
    reason: str
    operator_ref: str


def listed(options: Options, *, as_json: bool) -> int:
    """Those that need a person, with what to tell the centre. Raises CannotError."""
    try:
        found = serve.running_agent(options).activations(unfinished=True)
    except KaqiUnreachableError as unreachable:
        raise CannotError(Problem("agent.not_running")) from unreachable
    waiting = [each for each in found if each["needs_a_person"]]
    if as_json:
        screen.json_line(waiting)
        return SETTLED
    for each in waiting:
        screen.line(f"{each['id']}  {each['received_at']}  {each['pos_ref'] or ''}")
        for text in _evidence(each):
            screen.line(f"   {text}")
    if not waiting:
        screen.line(screen.said(_SAID["none"]))
    return SETTLED


def run(options: Options, activation: str, said: Said, *, as_json: bool) -> int:
    """Settle one. Raises CannotError."""
    try:
        settled = serve.running_agent(options).settle(
            activation, said.verdict, said.reason, said.operator_ref
        )
    except KaqiUnreachableError as unreachable:
        raise CannotError(Problem("agent.not_running")) from unreachable
    except KaqiError as refused:
        screen.pass_on(refused.problem, as_json=as_json)
        return REFUSED
    if as_json:
        screen.json_line(settled)
    else:
        screen.line(screen.said(_SAID["settled"]).format(state=settled["state"]))
    return SETTLED


def _evidence(record: Mapping[str, Any]) -> list[str]:
    """What a person tells the centre's people, and what to do with their answer."""
    message = record["sent_as"] or record["activation_id"]
    problem = record["problem"] or {}
    restored = problem.get("code") == saga.RESTORED
    facts = {
        "institution": record["institution"],
        "message": message,
        "since": record["received_at"],
        "id": record["id"],
    }
    keys = ("ask" if message else "by_time" if restored else "card", "then")
    lines = [screen.said(_SAID[key]).format(**facts) for key in keys]
    if restored:
        lines.insert(0, screen.said(problem["messages"]))
    words = record["refusal"]
    if words:
        lines.insert(-1, f"“{words['text']}” ({words['code']})")
    return lines
