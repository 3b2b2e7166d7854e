"""`kaqi activate`: one transaction from the terminal, through the running agent, just as a
POS would do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct

from plugin.activation.problem import Problem
from plugin.client import Kaqi, KaqiError, KaqiUnreachableError, Transaction
from plugin.commands import screen
from plugin.commands.failing import CannotError

SUCCEEDED, FAILED = 0, 1


class Person(Struct, frozen=True):
    """Who sits there: `agrees` answers yes or no, or was said beforehand; `insists` must
    be asked; `types` is hidden."""

    agrees: Callable[[str], bool]
    insists: Callable[[str], bool]
    types: Callable[[str], str]


def run(kaqi: Kaqi, scenario: str, *, pos_ref: str | None, person: Person) -> int:
    """Follow the transaction to its end. Whoever stops it half way has it cancelled, so
    that the reader is free. Raises CannotError."""
    try:
        transaction = kaqi.start(scenario, pos_ref=pos_ref)
        try:
            last = follow(kaqi, transaction, person)
        except BaseException:
            with suppress(KaqiError, KaqiUnreachableError):  # too late, or gone
                kaqi.cancel(transaction)
            raise
    except KaqiUnreachableError as unreachable:
        raise CannotError(Problem("agent.not_running")) from unreachable
    except KaqiError as refused:
        screen.pass_on(refused.problem)
        return FAILED
    return SUCCEEDED if last.state == "succeeded" else FAILED


def follow(kaqi: Kaqi, transaction: Transaction, person: Person) -> Transaction:
    """Show every step as the clerk would see it; returns the last snapshot."""
    shown = ""
    while True:
        text = as_text(transaction)
        if text != shown:
            screen.line(text)
            shown = text
        if transaction.ended or transaction.state == "in_doubt":
            return transaction
        if "confirm" in transaction.allowed_actions:
            sure = person.agrees(_SAID["activate"][screen.languages()[0]])
            act = kaqi.confirm if sure else kaqi.cancel
            transaction = act(transaction)
        elif "pin" in transaction.allowed_actions:
            transaction = give_pin(kaqi, transaction, person)
        elif transaction.state == "waiting_registration":  # nobody knows but who asks
            done = person.insists(_SAID["registered"][screen.languages()[0]])
            transaction = (kaqi.go_on if done else kaqi.cancel)(transaction)
        else:
            transaction = kaqi.next(transaction)


def give_pin(kaqi: Kaqi, transaction: Transaction, person: Person) -> Transaction:
    """Have the PIN typed that is asked for, here or on the reader. What has the wrong form
    is said; what came too late (the card was pulled meanwhile) is not."""
    wanted = transaction.pin_wanted or {}
    words = {key: texts[screen.languages()[0]] for key, texts in _SAID.items()}
    last = bool(wanted["last_try"])
    if last and not person.insists(words["last_try"]):
        return kaqi.cancel(transaction)
    typed: dict[str, str] = {}
    if not wanted["on_reader"]:
        typed["pin"] = person.types(words["pin"])
    if not wanted["on_reader"] and wanted["entry"] == "new":
        typed["new_pin"] = person.types(words["new_pin"])
        if person.types(words["again"]) != typed["new_pin"]:
            screen.line(f"   ! {words['differ']}")
            return transaction
    try:
        return kaqi.pin(transaction, confirm_last_try=last, **typed)
    except KaqiError as refused:
        too_late = refused.code == "transaction.bad_state"
        if not (refused.code in _TYPED_AGAIN or refused.code.startswith("pin.")):
            raise
        for text in [] if too_late else screen.sentences(refused.problem):
            screen.line(f"   ! {text}")
        return kaqi.get(transaction.id)


_TYPED_AGAIN = {"transaction.bad_state", "client.rate_limited"}
_SAID: Mapping[str, Mapping[str, str]] = {
    "activate": {"zh-CN": "确认启用？", "en": "Activate?"},
    "registered": {
        "zh-CN": "已在 HIS 中登记？",
        "en": "Has the visit been registered?",
    },
    "pin": {"zh-CN": "密码", "en": "PIN"},
    "new_pin": {"zh-CN": "新密码", "en": "New PIN"},
    "again": {"zh-CN": "再输入一次新密码", "en": "New PIN again"},
    "differ": {
        "zh-CN": "两次输入的新密码不一致，请重新输入。",
        "en": "The two entries differ, enter them again.",
    },
    "last_try": {
        "zh-CN": "最后一次机会：持卡人确认记得密码？",
        "en": "The last try: is the holder sure to know the PIN?",
    },
    "tries": {"zh-CN": "还可输入 {0} 次", "en": "Tries left: {0}"},
}


def _tries(wanted: Mapping[str, Any] | None) -> list[str]:
    left = wanted["tries_left"] if wanted else None
    return [f"   {screen.said(_SAID['tries']).format(left)}"] if left else []


def as_text(transaction: Transaction) -> str:
    """One moment in words: the instruction, the problem with its remedy, the holder, the
    receipt."""
    lines = [f">> {screen.said(transaction.data['step']['text'])}"]
    problem = transaction.problem
    for found in [*([problem] if problem else []), *transaction.notices]:
        said, *steps = screen.sentences(found)
        lines.append(f"   ! {said}")
        if found["centre"]:
            lines.append(f"     “{found['centre']['text']}”")
        lines += [f"   {step}" for step in steps]
    lines += _tries(transaction.pin_wanted)
    holder = transaction.holder_masked
    if holder and transaction.state == "waiting_confirm":
        lines.append(f"   {holder['name'] or '?'}  {holder['social_security_number']}")
    for language in screen.languages():
        receipt = transaction.receipt(language)
        if receipt:
            lines += ["", *(f"   | {line}" for line in receipt.splitlines()), ""]
    return "\n".join(lines)
