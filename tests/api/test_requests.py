"""Good and bad requests, and the problem each bad one gets."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import convert

from plugin.api import answers, requests
from plugin.client import Transaction
from simulator.reader import InProcessDesk
from tests.agents import Answer, Pos
from tests.centre import CentreProcess
from tests.scenario.counter import Counter, two_cards
from tests.waiting import wait_until

ORDER = {"kind": "activation", "scenario": "pharmacy"}
TRANSACTIONS = "/v1/transactions"


def assert_problem(answer: Answer, status: int, code: str) -> None:
    """A whole problem object of the catalogue, and nothing that helps an attacker."""
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["status"] == status
    assert answer.body["type"] == f"urn:kaqi:problem:{code}"
    assert set(answer.body["messages"]) == {"zh-CN", "en"}
    assert answer.body["remedy"]["zh-CN"]
    assert answer.body["trace_id"] == answer.headers["trace-id"]
    text = json.dumps(answer.body)
    for leak in ("Traceback", ".py", "site-packages", "SELECT ", "pydantic"):
        assert leak not in text


def test_a_transaction_starts_with_its_snapshot_and_its_place(pos: Pos) -> None:
    answer = pos.start("pharmacy", {"pos_ref": "4711", "operator_ref": "clerk-7"})

    assert answer.status == 202
    assert answer.headers["location"] == f"{TRANSACTIONS}/{answer.body['id']}"
    assert answer.body["state"] == "waiting_card"
    assert answer.body["role"] == "medical"
    assert answer.body["step"]["text"]["zh-CN"] == "请插入旧医保卡（磁条卡请刷卡）"
    assert answer.body["expects"] == {"what": "card", "role": "medical"}
    assert answer.body["allowed_actions"] == ["cancel", "continue"]
    assert answer.body["cancellable"]
    assert answer.body["clock"] == "card"
    assert answer.body["deadline"] > answer.body["received_at"]
    assert (answer.body["pos_ref"], answer.body["operator_ref"]) == ("4711", "clerk-7")
    assert answer.body["profile"] == "reference@1"
    assert answer.body["test_data"] is True


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param({**ORDER, "cancle": 1}, "/body/cancle", id="unknown field"),
        pytest.param({"scenario": "pharmacy"}, "/body/kind", id="missing field"),
        pytest.param({**ORDER, "kind": "robbery"}, "/body/kind", id="unknown kind"),
        pytest.param(
            {**ORDER, "scenario": "barber"}, "/body/scenario", id="unknown scenario"
        ),
        pytest.param({**ORDER, "pos_ref": 4711}, "/body/pos_ref", id="wrong type"),
        pytest.param({**ORDER, "pos_ref": "x" * 65}, "/body/pos_ref", id="too long"),
        pytest.param({**ORDER, "pos_ref": ""}, "/body/pos_ref", id="empty"),
        pytest.param({**ORDER, "pos_ref": "a b"}, "/body/pos_ref", id="a space"),
        pytest.param({**ORDER, "pos_ref": "a\n"}, "/body/pos_ref", id="a line end"),
        pytest.param(
            {**ORDER, "pos_ref": "999901190102021017"}, "/body/pos_ref", id="somebody"
        ),
        pytest.param({**ORDER, "readers": []}, "/body/readers", id="no readers"),
        pytest.param({**ORDER, "readers": [1]}, "/body/readers/0", id="a number"),
        pytest.param([], "/body", id="a list"),
        pytest.param("pharmacy", "/body", id="a string"),
        pytest.param(None, "/body", id="null"),
    ],
)
def test_a_wrong_body_is_told_where_it_is_wrong(
    pos: Pos, body: object, pointer: str
) -> None:
    answer = pos.request("POST", TRANSACTIONS, raw=json.dumps(body).encode(), key="k")

    assert_problem(answer, 400, "request.invalid")
    pointers = [each["pointer"] for each in answer.body["errors"]]
    assert pointer in pointers
    assert "999901" not in json.dumps(answer.body)


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"",
        b"\xff\xfe\x00",
        b"{'kind': 'activation'}",
        b'{"kind": "activation", "scenario": "pharmacy"',
        b"[" * 5_000,
        b'{"kind": NaN}',
        b'{"kind": "activation", "scenario": "pharmacy", "kind": "activation"}',
        b'{"kind": "activation", "scenario": "pharmacy", "\\ud842": 1}',
        b'{"kind": "activation", "scenario": "pharmacy", "readers": ["\\ud842"]}',
    ],
)
def test_malformed_json_is_a_problem_and_not_a_crash(pos: Pos, raw: bytes) -> None:
    answer = pos.request("POST", TRANSACTIONS, raw=raw, key="k")

    assert_problem(answer, 400, "request.invalid")


def test_a_body_of_a_megabyte_is_refused(pos: Pos) -> None:
    answer = pos.request("POST", TRANSACTIONS, raw=b" " * 70_000, key="k")

    assert_problem(answer, 413, "request.too_large")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json-ish"]
)
def test_only_json_is_taken(pos: Pos, kind: str) -> None:
    answer = pos.request(
        "POST", TRANSACTIONS, ORDER, key="k", headers={"Content-Type": kind}
    )

    assert_problem(answer, 415, "request.not_json")


def test_a_pharmacy_registers_nobody(pos: Pos) -> None:
    answer = pos.start("outpatient_registration")

    assert_problem(answer, 403, "scenario.not_allowed_here")
    assert "outpatient_registration" in answer.body["title"]


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "schlüssel"])
def test_a_key_that_is_none_is_refused(pos: Pos, key: str) -> None:
    answer = pos.request(
        "POST",
        TRANSACTIONS,
        ORDER,
        headers={"Idempotency-Key": key.encode().decode("latin-1")},
    )

    assert_problem(answer, 400, "request.invalid")


@pytest.mark.parametrize("action", ["", "/cancel", "/confirm", "/continue"])
def test_without_a_key_nothing_is_done(pos: Pos, action: str) -> None:
    started = pos.start("pharmacy").body
    path = f"{TRANSACTIONS}/{started['id']}{action}" if action else TRANSACTIONS

    answer = pos.request("POST", path, ORDER if not action else {})

    assert_problem(answer, 428, "idempotency.key_missing")
    assert pos.kaqi.get(started["id"]).state == "waiting_card"


def test_the_same_key_and_body_is_the_same_transaction(pos: Pos) -> None:
    first = pos.start("pharmacy", {"pos_ref": "1"}, key="once")

    second = pos.start("pharmacy", {"pos_ref": "1"}, key="once")

    assert second.status == 202
    assert second.body["id"] == first.body["id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers


def test_the_same_key_with_another_body_is_refused(pos: Pos) -> None:
    pos.start("pharmacy", {"pos_ref": "1"}, key="once")

    answer = pos.start("pharmacy", {"pos_ref": "2"}, key="once")

    assert_problem(answer, 422, "idempotency.key_reused")


def test_the_same_key_for_another_action_is_refused(pos: Pos) -> None:
    started = pos.start("pharmacy", key="once").body

    answer = pos.request(
        "POST", f"{TRANSACTIONS}/{started['id']}/cancel", {}, key="once"
    )

    assert_problem(answer, 422, "idempotency.key_reused")


def test_another_client_may_use_the_same_key(pos: Pos, counter: Counter) -> None:
    first = pos.start("pharmacy", {"readers": counter.ids[:1]}, key="once").body
    other = Pos(pos.port, counter.running.folder.pair("pos-2", ("read", "activate")))

    second = other.start("pharmacy", {"readers": counter.ids[1:]}, key="once")

    assert second.status == 202
    assert second.body["id"] != first["id"]


def test_twenty_clicks_with_one_key_start_one_transaction(pos: Pos) -> None:
    with ThreadPoolExecutor(20) as clicks:
        answers = list(
            clicks.map(lambda _: pos.start("pharmacy", key="once"), range(20))
        )

    assert {answer.status for answer in answers} == {202}
    assert len({answer.body["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(pos.request("GET", "/v1/activations").body["activations"]) == 1


def test_a_retry_while_the_first_request_waits_joins_it(
    pos: Pos, counter: Counter
) -> None:
    def blocking() -> Answer:
        headers = {"Prefer": "wait=30"}
        return pos.request("POST", TRANSACTIONS, ORDER, key="once", headers=headers)

    with ThreadPoolExecutor(2) as beside:
        first = beside.submit(blocking)
        wait_until(lambda: pos.request("GET", TRANSACTIONS).body["transactions"] != [])
        second = beside.submit(blocking)
        meanwhile = pos.request("POST", TRANSACTIONS, ORDER, key="once")
        counter.put("tang.social_security")

    assert meanwhile.status == 202
    assert meanwhile.headers["idempotency-replayed"] == "true"
    answers = [first.result(), second.result()]
    assert [answer.status for answer in answers] == [200, 200]
    assert {answer.body["id"] for answer in answers} == {meanwhile.body["id"]}
    assert {answer.body["state"] for answer in answers} == {"succeeded"}


def test_a_blocking_call_answers_when_it_has_ended(
    pos: Pos, counter: Counter, centre: CentreProcess
) -> None:
    with ThreadPoolExecutor(1) as beside:
        blocking = beside.submit(
            lambda: pos.request(
                "POST", TRANSACTIONS, ORDER, key="k", headers={"Prefer": "wait=30"}
            )
        )
        counter.put("tang.social_security")
        answer = blocking.result()

    assert answer.status == 200
    assert answer.body["state"] == "succeeded"
    assert centre.effects == []


@pytest.mark.parametrize("prefer", ["wait=soon", "respond-async", "wait=-1", ""])
def test_a_preference_that_is_none_is_ignored(pos: Pos, prefer: str) -> None:
    answer = pos.request(
        "POST", TRANSACTIONS, ORDER, key="k", headers={"Prefer": prefer}
    )

    assert answer.status == 202


def test_a_long_poll_answers_at_the_next_change(pos: Pos, counter: Counter) -> None:
    started = pos.start("pharmacy").body
    path = f"{TRANSACTIONS}/{started['id']}?wait=20&after_seq={started['seq']}"

    with ThreadPoolExecutor(1) as beside:
        polling = beside.submit(lambda: pos.request("GET", path))
        counter.put("lin.medical")
        answer = polling.result()

    assert answer.body["seq"] > started["seq"]


def test_a_long_poll_without_a_change_answers_the_same(pos: Pos) -> None:
    started = pos.start("pharmacy").body
    path = f"{TRANSACTIONS}/{started['id']}?wait=0.2&after_seq={started['seq']}"

    assert pos.request("GET", path).body == started


def test_a_busy_reader_says_who_has_it(pos: Pos) -> None:
    first = pos.start("pharmacy").body

    answer = pos.start("pharmacy")

    assert_problem(answer, 409, "reader.busy")
    assert answer.body["transaction"] == first["id"]


def test_two_transactions_on_two_readers_do_not_meet(
    pos: Pos, counter: Counter
) -> None:
    answers = [pos.start("pharmacy", {"readers": [each]}) for each in counter.ids]

    assert [answer.status for answer in answers] == [202, 202]


def test_a_reader_nobody_has_is_unknown(pos: Pos) -> None:
    answer = pos.start("pharmacy", {"readers": ["r-000000000000"]})

    assert_problem(answer, 404, "reader.unknown")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{TRANSACTIONS}/t-{'0' * 32}", 404, "transaction.unknown"),
        (f"{TRANSACTIONS}/nobody", 400, "request.invalid"),
        (f"{TRANSACTIONS}/t-{'0' * 32}%0A", 404, "request.not_found"),
        (f"{TRANSACTIONS}/%E6%9E%97", 404, "request.not_found"),
        (f"/v1/activations/{'0' * 36}", 404, "activation.unknown"),
        ("/v1/activations/nobody", 400, "request.invalid"),
        ("/v1/nothing", 404, "request.not_found"),
        ("/index.html", 404, "request.not_found"),
        (f"{TRANSACTIONS}?state={'x' * 99}", 400, "request.invalid"),
        ("/v1/activations?limit=0", 400, "request.invalid"),
        ("/v1/activations?limit=many", 400, "request.invalid"),
        (f"{TRANSACTIONS}/t-{'0' * 32}?wait=9999", 400, "request.invalid"),
        (f"{TRANSACTIONS}?clerk=7", 400, "request.invalid"),
        (f"{TRANSACTIONS}?state=failed&state=failed", 400, "request.invalid"),
    ],
)
def test_what_is_not_there_says_so(pos: Pos, path: str, status: int, code: str) -> None:
    assert_problem(pos.request("GET", path), status, code)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(pos: Pos, method: str) -> None:
    answer = pos.request(method, TRANSACTIONS, {}, key="k")

    assert_problem(answer, 405, "request.method_not_allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize("action", ["confirm"])
def test_an_action_at_the_wrong_moment_says_what_is_allowed(
    pos: Pos, action: str
) -> None:
    started = pos.start("pharmacy").body

    answer = pos.request(
        "POST", f"{TRANSACTIONS}/{started['id']}/{action}", {}, key="k"
    )

    assert_problem(answer, 409, "transaction.bad_state")
    assert answer.body["allowed_actions"] == ["cancel", "continue"]


@pytest.mark.parametrize("action", ["cancel", "confirm", "continue"])
def test_what_has_ended_takes_no_action(pos: Pos, action: str) -> None:
    started = pos.start("pharmacy").body
    pos.request("POST", f"{TRANSACTIONS}/{started['id']}/cancel", {}, key="c")

    answer = pos.request(
        "POST", f"{TRANSACTIONS}/{started['id']}/{action}", {}, key="again"
    )

    assert_problem(answer, 409, "transaction.bad_state")
    assert answer.body["allowed_actions"] == ["acknowledge"]


def test_an_unknown_transaction_takes_no_action(pos: Pos) -> None:
    answer = pos.request("POST", f"{TRANSACTIONS}/t-{'0' * 32}/cancel", {}, key="k")

    assert_problem(answer, 404, "transaction.unknown")


def test_cancelling_twice_with_one_key_is_cancelling_once(pos: Pos) -> None:
    started = pos.start("pharmacy").body
    path = f"{TRANSACTIONS}/{started['id']}/cancel"

    first = pos.request("POST", path, {}, key="c")
    second = pos.request("POST", path, {}, key="c")

    assert first.body["state"] == second.body["state"] == "cancelled"
    assert second.headers["idempotency-replayed"] == "true"


def test_an_action_needs_no_body(pos: Pos) -> None:
    started = pos.start("pharmacy").body

    answer = pos.request(
        "POST", f"{TRANSACTIONS}/{started['id']}/cancel", raw=b"", key="c"
    )

    assert answer.status == 202


def test_transactions_are_listed_by_reference_and_state(
    pos: Pos, counter: Counter
) -> None:
    for number, reader in enumerate(counter.ids):
        pos.start("pharmacy", {"pos_ref": f"sale-{number}", "readers": [reader]})

    by_ref = pos.request("GET", f"{TRANSACTIONS}?pos_ref=sale-1").body["transactions"]
    none = pos.request("GET", f"{TRANSACTIONS}?state=failed").body["transactions"]

    assert [each["pos_ref"] for each in by_ref] == ["sale-1"]
    assert none == []


def test_holder_data_in_clear_go_only_to_the_client_that_started_it(
    pos: Pos, counter: Counter
) -> None:
    folder = counter.running.folder
    confirming = two_cards(counter)
    without_scope = Pos(pos.port, folder.pair("pos", ("read", "activate")))
    other = Pos(pos.port, folder.pair("other", ("read", "activate", "identity")))

    mine = confirming.holder
    narrower = without_scope.kaqi.get(confirming.id).holder
    theirs = other.kaqi.get(confirming.id).holder

    assert mine is not None
    assert mine["social_security_number"] == "999901190102021017"
    assert mine["name"] == "林试一"
    assert not mine["masked"]
    fields = mine["basic_info"].split("|")
    assert fields[:3] == ["999901", "999901190102021017", mine["card_number"]]
    assert fields[4:6] == ["林试一", "00814E4323869900000200" + "0001"]
    for seen in (narrower, theirs, confirming.holder_masked):
        assert seen is not None
        assert seen["masked"]
        assert seen["name"] == "林**"
        assert seen["social_security_number"] == "999901********1017"
        assert seen["card_identification_code"] is None
        assert seen["basic_info"] is None
        assert seen["birth_date"] is None


def test_readers_are_shown_with_their_cards(pos: Pos, counter: Counter) -> None:
    counter.put("lin.medical", 1)
    counter.running.reader_ids(counter.readers)

    def card() -> object:
        shown = pos.request("GET", "/v1/readers").body["readers"]
        return next(each for each in shown if each["id"] == counter.ids[1])["card"]

    wait_until(lambda: card() is not None)
    shown = pos.request("GET", "/v1/readers").body
    by_id = {each["id"]: each for each in shown["readers"]}
    assert by_id[counter.ids[0]]["slot"] == "empty"
    assert by_id[counter.ids[1]]["slot"] == "present"
    assert by_id[counter.ids[1]]["card"]["insertion_id"].startswith("i-")
    assert shown["problems"] == []


def test_ready_says_what_is_missing(
    pos: Pos, hand: InProcessDesk, centre: CentreProcess
) -> None:
    ready = pos.request("GET", "/readyz")
    for reader in hand.readers():
        hand.unplug(reader)
    not_ready = pos.request("GET", "/readyz")

    names = {
        "journal",
        "disk",
        "backup",
        "simulated_readers",
        "reader",
        "psam",
        "centre",
    }
    assert (ready.status, ready.body["ready"]) == (200, True)
    assert {each["name"] for each in ready.body["checks"]} == names
    assert all(each["ok"] for each in ready.body["checks"])
    assert (not_ready.status, not_ready.body["ready"]) == (503, False)
    wrong = {each["name"]: each["problem"] for each in not_ready.body["checks"]}
    assert wrong["reader"]["code"] == "reader.none"


def test_every_error_is_published_in_both_languages(pos: Pos) -> None:
    errors = pos.request("GET", "/v1/errors").body["errors"]

    by_code = {each["code"]: each for each in errors}
    assert by_code["card.lost"]["remedy"]["zh-CN"]
    assert by_code["card.lost"]["remedy"]["en"]
    ways = [way["key"] for way in by_code["card.lost"]["way_back"]]
    assert ways == ["replace_card", "cancel_loss_report"]
    assert by_code["card.mute"]["way_back"] == []
    assert len(errors) > 70


def test_the_api_describes_itself(pos: Pos) -> None:
    described = pos.request("GET", "/openapi.json").body

    paths = described["paths"]
    assert set(paths) >= {
        "/v1/transactions",
        "/v1/transactions/{transaction_id}",
        "/v1/transactions/{transaction_id}/cancel",
        "/v1/transactions/{transaction_id}/confirm",
        "/v1/transactions/{transaction_id}/continue",
        "/v1/activations",
        "/v1/readers",
        "/v1/events",
        "/v1/errors",
        "/healthz",
        "/readyz",
    }
    start = paths["/v1/transactions"]["post"]
    names = {each["name"] for each in start["parameters"]}
    assert {"idempotency-key", "prefer"} <= names
    assert set(start["responses"]) >= {"200", "202", "400", "401", "409", "422", "428"}
    one = paths["/v1/transactions/{transaction_id}"]["get"]["parameters"]
    assert {(each["name"], each["in"], each["required"]) for each in one} == {
        ("transaction_id", "path", True),
        ("wait", "query", False),
        ("after_seq", "query", False),
    }


def test_every_shape_that_is_mentioned_is_described(pos: Pos) -> None:
    described = pos.request("GET", "/openapi.json").body

    mentioned = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))

    assert mentioned == set(described["components"]["schemas"])


def test_what_is_answered_fits_what_is_described(pos: Pos, counter: Counter) -> None:
    confirming = two_cards(counter)
    pos.kaqi.confirm(confirming)
    ended = pos.until(pos.kaqi.get(confirming.id), "succeeded")

    shown = convert(dict(ended.data), answers.Transaction)
    activations = pos.request("GET", "/v1/activations").body
    readers = pos.request("GET", "/v1/readers").body

    assert shown.result is not None
    assert shown.result.receipt is not None
    assert convert(activations, answers.Activations).activations[0].state == "ACTIVE"
    roles = [each.role for each in convert(readers, answers.Readers).readers]
    assert sorted(roles) == ["patient", "patient", "psam"]
    receipt = Transaction(ended.data).receipt("en")
    assert re.search(
        r"Time: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", receipt or "", re.MULTILINE
    )


def test_what_may_be_kept_of_a_request_with_pins_has_none_of_them() -> None:
    said = requests.GivePin(pin="975310", new_pin="864209", confirm_last_try=True)

    assert said.lasting == requests.GivePin(confirm_last_try=True)
    for text in (repr(said), repr(said.typed), repr([said])):
        assert "975310" not in text
        assert "864209" not in text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param({"pin": 975310}, "/body/pin", id="a number"),
        pytest.param({"pin": "9" * 65}, "/body/pin", id="endless"),
        pytest.param({"pni": "975310"}, "/body/pni", id="unknown field"),
        pytest.param({"confirm_last_try": "yes"}, "/body/confirm_last_try", id="text"),
    ],
)
def test_a_wrong_body_with_a_pin_is_told_where_and_not_what(
    pos: Pos, body: object, pointer: str
) -> None:
    begun = pos.start("pharmacy").body["id"]

    answer = pos.request("POST", f"{TRANSACTIONS}/{begun}/pin", body, key="pin")

    assert_problem(answer, 400, "request.invalid")
    assert [each["pointer"] for each in answer.body["errors"]] == [pointer]
    assert "975310" not in json.dumps(answer.body)


def test_a_pin_needs_a_key_and_a_transaction_that_asks_for_one(pos: Pos) -> None:
    begun = pos.start("pharmacy").body["id"]
    path = f"{TRANSACTIONS}/{begun}/pin"

    assert_problem(pos.request("POST", path, {}), 428, "idempotency.key_missing")
    refused = pos.request("POST", path, {"pin": "975310"}, key="pin")

    assert_problem(refused, 409, "transaction.bad_state")
    assert refused.body["allowed_actions"] == ["cancel", "continue"]
