"""What is looked for in the record of a sale. Pure: each check is a function from the
evidence to what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from plugin.commands.conforming.recording import Call
from plugin.commands.conforming.situations import (
    ACKNOWLEDGE,
    HELLO,
    POS,
    RETRY_AFTER,
    START,
    Mishap,
    Outcome,
    Situation,
)

WINDOW_SECONDS, CALLS_AT_MOST = 1.0, 40
EARLY_SECONDS = 0.05  # two clocks, and the way between them
TOO_MANY = 429


class Report(Struct, frozen=True, kw_only=True):
    """What the vendor's driver says of a sale: how it ended, and every text that the
    operator saw."""

    outcome: Outcome
    shown: list[str] = field(default_factory=list)


class Evidence(Struct, frozen=True, kw_only=True):
    """Everything about one sale; without a report when the driver did not answer, and
    `failure` says why. `left_over` is a transaction that succeeded before, and that the
    POS has not acknowledged."""

    situation: Situation
    token: str
    calls: list[Call]
    report: Report | None
    failure: str = ""
    left_over: str | None = None


class Check(Struct, frozen=True, kw_only=True):
    """One promise a POS keeps: whether it can be kept in a situation, and what in the
    evidence breaks it."""

    key: str
    applies: Callable[[Situation], bool]
    broken_by: Callable[[Evidence], Iterable[str]]


def _always(_: Situation) -> bool:
    return True


def _answered(evidence: Evidence) -> Iterator[str]:
    if evidence.report is None:
        yield evidence.failure


def _outcome(evidence: Evidence) -> Iterator[str]:
    wanted = evidence.situation.outcomes
    if evidence.report is not None and evidence.report.outcome not in wanted:
        yield f"{evidence.report.outcome}, not {' or '.join(sorted(wanted))}"


def _shows_words(evidence: Evidence) -> Iterator[str]:
    """Each of these problems is on the screen in one of the languages."""
    problems = _problems(evidence)
    for code in evidence.situation.shows:
        if code not in problems:
            yield f"{code}: never asked for"
        elif not _is_shown(problems[code]["messages"].values(), evidence):
            yield f"{code}: {problems[code]['messages']['zh-CN']}"


def _shows_way_back(evidence: Evidence) -> Iterator[str]:
    """What is to be done, line for line, in one of the languages."""
    for code in evidence.situation.shows:
        remedies = _problems(evidence).get(code, {}).get("remedy", {}).values()
        if not any(
            all(_is_shown([line], evidence) for line in lines) for lines in remedies
        ):
            yield code


def _one_sale(evidence: Evidence) -> Iterator[str]:
    started = {
        call.answer["id"]
        for call in evidence.calls
        if call.path == START and call.method == "POST" and (call.status or 0) < 300
    }
    if len(started) > evidence.situation.sales:
        yield f"{len(started)} transactions, not {evidence.situation.sales}"


def _keys(evidence: Evidence) -> Iterator[str]:
    """Every click has a key, and no other click has it."""
    first: dict[str, Call] = {}
    for call in _clicks(evidence):
        if call.key is None:
            yield f"POST {call.path}: no Idempotency-Key"
            continue
        earlier = first.setdefault(call.key, call)
        if (earlier.path, earlier.body) != (call.path, call.body):
            yield f"POST {call.path}: the key of POST {earlier.path}"
        elif earlier is not call and _arrived(earlier):
            yield f"POST {call.path}: the key of an earlier click"


def _same_key_again(evidence: Evidence) -> Iterator[str]:
    """After a lost answer, and after 429: the same once more."""
    for call, again in _repeats(evidence):
        if again is None:
            yield f"POST {call.path}: never sent again"
        elif (again.key, again.body) != (call.key, call.body):
            yield f"POST {call.path}: sent again with another key or body"


def _retry_after(evidence: Evidence) -> Iterator[str]:
    for call, again in _repeats(evidence):
        if call.status != TOO_MANY or again is None:
            continue
        waited = again.at - call.at
        if waited < RETRY_AFTER - EARLY_SECONDS:
            yield f"POST {call.path}: after {waited:.2f} s, not {RETRY_AFTER} s"


def _token_in_header(evidence: Evidence) -> Iterator[str]:
    for call in evidence.calls:
        if evidence.token in f"{call.path}?{call.query}":
            yield f"{call.method} {call.path.replace(evidence.token, '…')}: in the URL"
        if evidence.token.encode() in call.body:
            yield f"{call.method} {call.path}: in the body"


def _hello_first(evidence: Evidence) -> Iterator[str]:
    """Whoever answers has proved to be the agent before it was sent the token."""
    for call in evidence.calls:
        if call.path != HELLO:
            yield f"{call.method} {call.path}: before POST {HELLO}"
            return
        if call.said.get("client_id") == POS:
            return


def _acknowledges(evidence: Evidence) -> Iterator[str]:
    """The agent knows that the POS knows of every success."""
    answers = [
        call.answer
        for call in evidence.calls
        if _arrived(call) and isinstance(call.answer, dict)
    ]
    succeeded = {each["id"] for each in answers if each.get("state") == "succeeded"}
    left_over = {evidence.left_over} if evidence.left_over else set()
    for each in sorted(succeeded | left_over):
        path = f"{START}/{each}{ACKNOWLEDGE}"
        if not any(call.path == path and _arrived(call) for call in evidence.calls):
            yield f"{each}: {'from before' if each in left_over else 'this sale'}"


def _pin_in_body(evidence: Evidence) -> Iterator[str]:
    """The PIN goes to one place, and says which snapshot it answers."""
    pin = evidence.situation.pin or ""
    given = False
    for call in evidence.calls:
        to_card = call.method == "POST" and call.path.endswith("/pin")
        given |= to_card
        if pin in f"{call.path}?{call.query}" or (
            pin.encode() in call.body and not to_card
        ):
            yield f"{call.method} {call.path.replace(pin, '…')}"
        if to_card and "seq" not in call.said:
            yield f"POST {call.path}: without seq"
    if not given:
        yield "no PIN was sent"


def _asks_gently(evidence: Evidence) -> Iterator[str]:
    times = [call.at for call in evidence.calls if call.method == "GET"]
    for begin, end in zip(times, times[CALLS_AT_MOST:], strict=False):
        if end - begin < WINDOW_SECONDS:
            yield f"{CALLS_AT_MOST + 1} requests in {end - begin:.2f} s"
            return


def _is_lost(situation: Situation) -> bool:
    return bool(situation.ways)


def _is_refused(situation: Situation) -> bool:
    return any(way.mishap is Mishap.REFUSE for way in situation.ways)


CHECKS: tuple[Check, ...] = (
    Check(key="answered", applies=_always, broken_by=_answered),
    Check(key="outcome", applies=_always, broken_by=_outcome),
    Check(
        key="shows_words",
        applies=lambda situation: bool(situation.shows),
        broken_by=_shows_words,
    ),
    Check(
        key="shows_way_back",
        applies=lambda situation: situation.way_back,
        broken_by=_shows_way_back,
    ),
    Check(key="hello_first", applies=_always, broken_by=_hello_first),
    Check(key="acknowledges", applies=_always, broken_by=_acknowledges),
    Check(key="one_sale", applies=_always, broken_by=_one_sale),
    Check(key="keys", applies=_always, broken_by=_keys),
    Check(key="same_key_again", applies=_is_lost, broken_by=_same_key_again),
    Check(key="retry_after", applies=_is_refused, broken_by=_retry_after),
    Check(key="token_in_header", applies=_always, broken_by=_token_in_header),
    Check(
        key="pin_in_body",
        applies=lambda situation: situation.pin is not None,
        broken_by=_pin_in_body,
    ),
    Check(key="asks_gently", applies=_always, broken_by=_asks_gently),
)


def examined(evidence: Evidence) -> Iterator[tuple[Check, list[str]]]:
    """Every check that applies, with what breaks it."""
    for check in CHECKS:
        if check.applies(evidence.situation):
            yield check, list(check.broken_by(evidence))


def _problems(evidence: Evidence) -> Mapping[str, dict[str, Any]]:
    """What the POS was told, by code."""
    arrived = (call for call in evidence.calls if not call.is_lost)
    return {each["code"]: each for call in arrived for each in call.problems}


def _is_shown(texts: Iterable[str], evidence: Evidence) -> bool:
    shown = evidence.report.shown if evidence.report else []
    return any(text in each for text in texts for each in shown)


def _clicks(evidence: Evidence) -> Iterator[Call]:
    for call in evidence.calls:
        if call.method == "POST" and call.path.startswith(START):
            yield call


def _arrived(call: Call) -> bool:
    return not call.is_lost and call.status is not None and call.status < 300


def _repeats(evidence: Evidence) -> Iterator[tuple[Call, Call | None]]:
    """Every click that came to nothing on its way, and the next one at the same place."""
    clicks = list(_clicks(evidence))
    for number, call in enumerate(clicks):
        if call.is_lost or call.status == TOO_MANY:
            following = (
                each for each in clicks[number + 1 :] if each.path == call.path
            )
            yield call, next(following, None)
