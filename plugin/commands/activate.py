"""`kaqi activate`: one transaction from the terminal, through the running agent, just as a
POS would do it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from plugin.activation.problem import Problem
from plugin.client import Kaqi, KaqiError, KaqiUnreachableError, Transaction
from plugin.commands import screen
from plugin.commands.failing import CannotError

SUCCEEDED, FAILED = 0, 1


def run(
    kaqi: Kaqi, scenario: str, *, pos_ref: str | None, ask: Callable[[str], bool]
) -> int:
    """Follow the transaction to its end; `ask` puts a yes-or-no question. Whoever stops it
    half way has it cancelled, so that the reader is free. Raises CannotError."""
    try:
        transaction = kaqi.start(scenario, pos_ref=pos_ref)
        try:
            last = follow(kaqi, transaction, ask)
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


def follow(
    kaqi: Kaqi, transaction: Transaction, ask: Callable[[str], bool]
) -> Transaction:
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
            sure = ask(
                {"zh-CN": "确认启用？", "en": "Activate?"}[screen.languages()[0]]
            )
            act = kaqi.confirm if sure else kaqi.cancel
            transaction = act(transaction)
        else:
            transaction = kaqi.next(transaction)


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
    holder = transaction.holder_masked
    if holder and transaction.state == "waiting_confirm":
        lines.append(f"   {holder['name'] or '?'}  {holder['social_security_number']}")
    for language in screen.languages():
        receipt = transaction.receipt(language)
        if receipt:
            lines += ["", *(f"   | {line}" for line in receipt.splitlines()), ""]
    return "\n".join(lines)
