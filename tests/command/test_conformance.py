"""`kaqi conformance`: a POS that does everything right keeps every promise, and one that does
a single thing wrong is told which."""

from __future__ import annotations

import json
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from examples.conformance_driver import Pos, driver
from plugin import cli, main
from plugin.client import Kaqi, KaqiError, KaqiUnreachableError, Transaction
from plugin.commands.conformance import verdicts_on
from plugin.commands.conforming.checks import CHECKS
from plugin.commands.conforming.situations import SITUATIONS
from tests.centre import CentreProcess

BY_KEY = {situation.key: situation for situation in SITUATIONS}
SECONDS = 20.0


@contextmanager
def driven(pos: Callable[[Mapping[str, Any]], Pos]) -> Iterator[str]:
    """The address of a driver with this POS behind it."""
    with driver(0, pos) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def broken_in(
    situation: str, pos: Callable[[Mapping[str, Any]], Pos], centre: CentreProcess
) -> dict[str, list[str]]:
    """The promises that this POS breaks, with what shows it."""
    with driven(pos) as url:
        verdicts = verdicts_on(url, BY_KEY[situation], centre.address, SECONDS)
    return {each["check"]: each["details"] for each in verdicts if not each["passed"]}


@pytest.mark.parametrize("situation", BY_KEY)
def test_the_pos_of_the_example_keeps_every_promise(
    centre: CentreProcess, situation: str
) -> None:
    assert broken_in(situation, Pos, centre) == {}


def test_everything_has_words_in_both_languages() -> None:
    words = main.texts("conformance")()

    assert set(words["situations"]) == set(BY_KEY)
    assert set(words["checks"]) == {check.key for check in CHECKS}
    texts = [each for section in words.values() for each in section.values()]
    assert all(each["zh"] and each["en"] for each in texts)


class NewKeyAgain(Kaqi):
    """Takes a second try for another click."""

    def _post(
        self, path: str, body: Mapping[str, Any], idempotency_key: str | None
    ) -> dict[str, Any]:
        while True:
            with suppress(KaqiUnreachableError):
                return self.call("POST", path, body, uuid.uuid4().hex)


class WithNewKeys(Pos):
    def __init__(self, order: Mapping[str, Any]) -> None:
        super().__init__(order)
        address = order["address"].removeprefix("http://")
        self.kaqi = NewKeyAgain(token=order["token"], address=address)


class WithOneKey(Pos):
    """Keeps the key of the first click for ever."""

    def start(self) -> Transaction:
        key, business = self.order["scenario"], self.order["business"]
        try:
            return self.kaqi.start(business, idempotency_key=key)
        except KaqiUnreachableError:
            return self.kaqi.start(business, idempotency_key=key)


class ShowsItsToken(Pos):
    def start(self) -> Transaction:
        with suppress(KaqiError):
            self.kaqi.call("GET", f"/v1/readers?access_token={self.order['token']}")
        return super().start()


class GivesUp(Pos):
    """One refusal, one failure, and the sale is off."""

    def sell(self) -> str:
        try:
            return self.outcome(self.follow(self.start()))
        except KaqiError as refused:
            self.show_problem(refused.problem)
            return "not_activated"


class BelievesInSuccess(Pos):
    def outcome(self, now: Transaction) -> str:
        return "activated"


class HasWordsOfItsOwn(Pos):
    def show_problem(self, problem: Mapping[str, Any]) -> None:
        self.shown.append(f"出错了：{problem['code']}")


class SaysOnlyWhatIsWrong(Pos):
    def show_problem(self, problem: Mapping[str, Any]) -> None:
        self.shown.append(problem["messages"]["zh-CN"])


class ReadsTheWords(Pos):
    """Confirms where the instruction says so."""

    def follow(self, now: Transaction) -> Transaction:
        while not now.ended:
            self.show(now)
            if "请核对持卡人" in now.instruction():
                now = self.kaqi.confirm(now)
            elif "confirm" in now.allowed_actions:
                return self.kaqi.cancel(now)  # whatever that may be
            else:
                now = self.kaqi.next(now)
        return self.kaqi.acknowledge(now)


class KnowsEveryField(Pos):
    def show(self, now: Transaction) -> None:
        known = {"key", "text"}
        assert set(now.data["step"]) == known
        super().show(now)


class Hasty(Pos):
    def start(self) -> Transaction:
        key = uuid.uuid4().hex
        while True:
            try:
                return self.kaqi.start(self.order["business"], idempotency_key=key)
            except KaqiError:
                continue  # it may well be over by now


class SellsTwice(Pos):
    """Where nobody knows, it tries once more."""

    def follow(self, now: Transaction) -> Transaction:
        while not now.ended and now.state != "in_doubt":
            confirms = "confirm" in now.allowed_actions
            now = self.kaqi.confirm(now) if confirms else self.kaqi.next(now)
        if now.state == "in_doubt":
            self.kaqi.cancel(self.start())
        return super().follow(now)


class PinInTheAddress(Pos):
    def follow(self, now: Transaction) -> Transaction:
        with suppress(KaqiError):
            self.kaqi.call("GET", f"/v1/readers?pin={self.order['pin']}")
        return super().follow(now)


class PinForAnySnapshot(Pos):
    def follow(self, now: Transaction) -> Transaction:
        while "pin" not in now.allowed_actions:
            confirms = "confirm" in now.allowed_actions
            now = self.kaqi.confirm(now) if confirms else self.kaqi.next(now)
        path, pin = f"/v1/transactions/{now.id}/pin", {"pin": self.order["pin"]}
        self.kaqi.call("POST", path, pin, uuid.uuid4().hex)
        return now


class AsksWithoutEnd(Pos):
    def next(self, now: Transaction) -> Transaction:
        before = now.data["seq"]
        for _ in range(50):
            now = self.kaqi.get(now.id)
        return now if now.data["seq"] != before else super().next(now)


class TrustsAnybody(Pos):
    """Sends its token to whoever has the port."""

    def sell(self) -> str:
        bearer = {"Authorization": f"Bearer {self.order['token']}"}
        address = f"{self.order['address']}/v1/readers"
        with urllib.request.urlopen(urllib.request.Request(address, headers=bearer)):
            return super().sell()


class NeverAcknowledges(Kaqi):
    def acknowledge(self, transaction: Transaction) -> Transaction:
        return transaction


class Silent(Pos):
    def __init__(self, order: Mapping[str, Any]) -> None:
        super().__init__(order)
        address = order["address"].removeprefix("http://")
        self.kaqi = NeverAcknowledges(token=order["token"], address=address)


class Forgetful(Pos):
    def take_note(self) -> None:
        """What was, was."""


class Breaks(Pos):
    def sell(self) -> str:
        raise ConnectionAbortedError


@pytest.mark.parametrize(
    ("pos", "situation", "promise"),
    [
        (WithNewKeys, "answer_lost", "same_key_again"),
        (WithOneKey, "agent_restarted", "keys"),
        (ShowsItsToken, "sale", "token_in_header"),
        (GivesUp, "reader_busy", "outcome"),
        (GivesUp, "agent_restarted", "outcome"),
        (BelievesInSuccess, "refused", "outcome"),
        (HasWordsOfItsOwn, "card_pulled", "shows_words"),
        (SaysOnlyWhatIsWrong, "refused", "shows_way_back"),
        (ReadsTheWords, "other_words", "outcome"),
        (KnowsEveryField, "more_fields", "answered"),
        (Hasty, "too_fast", "retry_after"),
        (SellsTwice, "in_doubt", "one_sale"),
        (PinInTheAddress, "pin_wanted", "pin_in_body"),
        (PinForAnySnapshot, "pin_wanted", "pin_in_body"),
        (AsksWithoutEnd, "sale", "asks_gently"),
        (TrustsAnybody, "sale", "hello_first"),
        (Silent, "sale", "acknowledges"),
        (Forgetful, "left_over", "acknowledges"),
        (Breaks, "sale", "answered"),
    ],
)
def test_what_a_pos_does_wrong_is_named(
    centre: CentreProcess, pos: type[Pos], situation: str, promise: str
) -> None:
    assert promise in broken_in(situation, pos, centre)


def test_a_pos_that_reads_words_does_well_with_ours(centre: CentreProcess) -> None:
    assert broken_in("sale", ReadsTheWords, centre) == {}


def test_a_token_that_was_in_the_address_is_not_in_the_report(
    centre: CentreProcess,
) -> None:
    seen: list[str] = []

    def pos(order: Mapping[str, Any]) -> Pos:
        seen.append(order["token"])
        return ShowsItsToken(order)

    broken = broken_in("sale", pos, centre)

    assert seen[0] not in json.dumps(broken)


def test_the_command_says_it_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with driven(Pos) as url:
        code = cli.run(["conformance", url, "--json", "--scenario", "sale"])

    told = json.loads(capsys.readouterr().out)
    assert (code, told["passed"]) == (0, True)
    assert {each["check"] for each in told["checks"]} >= {"outcome", "keys"}
    assert told["checks"][0]["promise"]["zh-CN"]


def test_the_command_says_what_is_wrong_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAQI_LANG", "en")

    with driven(BelievesInSuccess) as url:
        code = cli.run(["conformance", url, "--scenario", "refused"])

    said = capsys.readouterr().out
    assert code == 1
    assert "✗ It ends as it must\n      activated, not not_activated" in said
    assert said.rstrip().endswith("1 of 10 checks failed")


@pytest.mark.parametrize("wrong", [("driver",), ("http://x/", "--scenario", "lunch")])
def test_what_cannot_be_examined_is_said(
    capsys: pytest.CaptureFixture[str], wrong: tuple[str, ...]
) -> None:
    code = cli.run(["conformance", *wrong])

    assert code == 2
    assert json.loads(capsys.readouterr().err)["code"] == "command.usage"
