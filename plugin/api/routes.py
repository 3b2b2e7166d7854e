"""Every route, in the order a POS meets them. Each crosses to the deciding thread once."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from msgspec import Struct, field
from msgspec.structs import replace

from drivers.ports import SimulatedDesk
from plugin.activation.desk import Action
from plugin.activation.problem import Problem
from plugin.agent.doctor import Finding
from plugin.agent.happenings import Happening, Happenings
from plugin.agent.loop import DecidingLoop
from plugin.agent.service import Client, Keyed, Order, ProblemError, Service
from plugin.agent.views import TransactionView
from plugin.api import answers, requests
from plugin.api.events import Hub
from plugin.api.rendering import Rendering
from plugin.privacy import sm3

WAIT_MAX_SECONDS = 120
LIST_MAX = 100
KEY_PATTERN = re.compile(r"[\x21-\x7e]{1,200}")
WAIT_PATTERN = re.compile(r"\s*wait\s*=\s*(\d{1,4})\s*")

Result = TypeVar("Result")


class Parts(Struct, frozen=True, kw_only=True):
    """What the routes speak to."""

    loop: DecidingLoop
    service: Service
    happenings: Happenings
    hub: Hub
    rendering: Rendering
    checks: Callable[[], tuple[Finding, ...]]
    simulated_desk: SimulatedDesk | None


class InFlight(Struct):
    """Requests with an Idempotency-Key that have not been answered yet."""

    keys: set[tuple[str, str]] = field(default_factory=set)


def client_of(request: Request) -> Client:
    """The client the guard let in."""
    client = request.state.client
    assert isinstance(client, Client)  # noqa: S101 - the guard has seen a token
    return client


def trace_of(request: Request) -> str:
    """The trace id the guard gave this request."""
    return str(request.state.trace_id)


async def keyed_request(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(description="New for every click; the same again when trying again."),
    ] = None,
) -> Keyed:
    """The key of a request and the fingerprint of all that it says."""
    if idempotency_key is None:
        raise ProblemError(Problem("idempotency.key_missing"))
    if not KEY_PATTERN.fullmatch(idempotency_key):
        raise ProblemError(
            Problem("request.invalid"),
            errors=[
                {"pointer": "Idempotency-Key", "reason": "1 to 200 visible characters"}
            ],
        )
    said = json.loads(await request.body() or b"{}")
    content = json.dumps([request.method, request.url.path, said], sort_keys=True)
    return Keyed(
        key=idempotency_key,
        fingerprint=sm3(content.encode()),
        trace_id=trace_of(request),
    )


def waiting_seconds(
    prefer: Annotated[
        str | None,
        Header(
            description="wait=60 answers when the transaction has ended, or after 60 s."
        ),
    ] = None,
) -> float:
    """How long the client prefers to wait (RFC 7240, 4.3); anything else is ignored."""
    found = WAIT_PATTERN.fullmatch(prefer or "")
    return min(float(found[1]), WAIT_MAX_SECONDS) if found else 0.0


def answer(
    shown: Struct, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An object of `answers` as JSON."""
    content = msgspec.json.encode(shown)
    return Response(content, status, headers, media_type="application/json")


ClientIs = Annotated[Client, Depends(client_of)]
KeyedIs = Annotated[Keyed, Depends(keyed_request)]
WaitIs = Annotated[float, Depends(waiting_seconds)]
TransactionId = Annotated[str, Path(pattern="^t-[0-9a-f]{32}$")]
IntentId = Annotated[str, Path(pattern="^[0-9a-f-]{36}$")]


class Api:
    """The routes as methods, so that what they share is written once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._in_flight = InFlight()

    async def _decide(self, call: Callable[[], Result]) -> Result:
        """Have something done on the deciding thread."""
        return await asyncio.wrap_future(self._parts.loop.ask(call))

    async def start(
        self,
        body: requests.StartTransaction,
        client: ClientIs,
        keyed: KeyedIs,
        wait: WaitIs,
    ) -> Response:
        """Start a transaction. 202 with the snapshot; 200 when it has ended meanwhile."""
        order = Order(
            scenario=body.asked_scenario,
            pos_ref=body.pos_ref,
            operator_ref=body.operator_ref,
            readers=frozenset(body.readers) if body.readers is not None else None,
        )
        start = self._parts.service.start
        return await self._keyed(
            client, keyed, wait, lambda: start(client, order, keyed)
        )

    async def _act(
        self,
        transaction_id: str,
        action: Action,
        client: Client,
        keyed: Keyed,
        wait: float,
    ) -> Response:
        act = self._parts.service.act
        return await self._keyed(
            client, keyed, wait, lambda: act(client, transaction_id, action, keyed)
        )

    async def cancel(
        self,
        transaction_id: TransactionId,
        client: ClientIs,
        keyed: KeyedIs,
        wait: WaitIs,
        _: requests.Act | None = None,
    ) -> Response:
        """Cancel: possible until the centre has the message, never after."""
        return await self._act(transaction_id, Action.CANCEL, client, keyed, wait)

    async def confirm(
        self,
        transaction_id: TransactionId,
        client: ClientIs,
        keyed: KeyedIs,
        wait: WaitIs,
        _: requests.Act | None = None,
    ) -> Response:
        """The operator has compared the holder and says yes."""
        return await self._act(transaction_id, Action.CONFIRM, client, keyed, wait)

    async def go_on(
        self,
        transaction_id: TransactionId,
        client: ClientIs,
        keyed: KeyedIs,
        wait: WaitIs,
        _: requests.Act | None = None,
    ) -> Response:
        """Look again at the cards that are in: one that was turned away, or one from
        before that is the right one after all."""
        return await self._act(transaction_id, Action.CONTINUE, client, keyed, wait)

    async def transactions(
        self,
        client: ClientIs,
        pos_ref: Annotated[str | None, Query(max_length=64)] = None,
        state: Annotated[str | None, Query(max_length=32)] = None,
    ) -> Response:
        """The transactions of this run of the agent, the newest first."""
        views = await self._decide(lambda: self._parts.service.transactions(client))
        chosen = [
            view
            for view in views
            if pos_ref in (None, view.origin.pos_ref) and state in (None, view.state)
        ]
        render = self._parts.rendering.transaction
        shown = [render(view) for view in chosen[:LIST_MAX]]
        return answer(answers.Transactions(transactions=shown))

    async def transaction(
        self,
        transaction_id: TransactionId,
        client: ClientIs,
        wait: Annotated[float, Query(ge=0, le=WAIT_MAX_SECONDS)] = 0,
        after_seq: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        """A snapshot; with `wait` and `after_seq`, as soon as it has another `seq`."""

        def different(view: TransactionView) -> bool:
            return after_seq is None or view.seq != after_seq

        view = await self._until(transaction_id, client, wait, different)
        return answer(self._parts.rendering.transaction(view))

    async def activations(
        self, limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50
    ) -> Response:
        """The durable records, the newest first."""
        recent = self._parts.service.recent_activations
        records = await self._decide(lambda: recent(limit))
        render = self._parts.rendering.activation
        shown = [render(record) for record in records]
        return answer(answers.Activations(activations=shown))

    async def activation(self, intent_id: IntentId) -> Response:
        """One durable record."""
        find = self._parts.service.activation
        record = await self._decide(lambda: find(intent_id))
        return answer(self._parts.rendering.activation(record))

    async def readers(self, request: Request) -> Response:
        """Every reader, and why some cannot be asked."""
        service, rendering = self._parts.service, self._parts.rendering
        views, troubles = await self._decide(
            lambda: (service.readers(), service.reader_troubles())
        )
        return answer(rendering.readers(views, troubles, trace_of(request)))

    async def errors(self) -> Response:
        """Every problem the agent can name, in both languages, with its remedy."""
        return answer(self._parts.rendering.catalogue_list())

    def place_in_stream(self) -> None:
        """Refuse one follower too many before the stream begins."""
        if self._parts.hub.is_full:
            raise ProblemError(Problem("stream.too_many_clients"), retry_after=5)

    async def events(
        self, last_event_id: Annotated[str | None, Header(max_length=20)] = None
    ) -> AsyncIterator[ServerSentEvent]:
        """What happens, as it happens. With Last-Event-ID, what was missed comes first;
        `stream.gap` says that some of it is gone."""
        happenings = self._parts.happenings
        last = _event_number(last_event_id)
        async with self._parts.hub.stream() as queue:
            whole, missed = await self._decide(
                lambda: happenings.since(happenings.last_id if last is None else last)
            )
            yield await self._stream_start(last, whole=whole)
            told = last or 0
            for event in missed:
                told = event.id
                yield _sent(event)
            while (following := await queue.get()) is not None:
                if following.id > told:
                    yield _sent(following)

    async def _stream_start(self, last: int | None, *, whole: bool) -> ServerSentEvent:
        """Where the stream begins: a snapshot, and whether something was missed."""
        if last is not None and not whole:
            return ServerSentEvent(event="stream.gap", data={"last_event_id": last})
        service = self._parts.service
        readers = await self._decide(service.readers)
        live = await self._decide(service.live_transactions)
        return ServerSentEvent(
            event="stream.snapshot",
            data={"readers": [view.id for view in readers], "transactions": list(live)},
        )

    async def healthz(self) -> Response:
        """Alive; says nothing else."""
        return Response(status_code=204)

    async def readyz(self, request: Request) -> Response:
        """Whether transactions can be carried out now, and what is missing."""
        found = await asyncio.to_thread(self._parts.checks)
        shown = self._parts.rendering.readiness(found, trace_of(request))
        return answer(shown, status=200 if shown.ready else 503)

    async def cast(self) -> Response:
        """The cards of the cast and the readers that take them."""
        hand = self._hand()
        views = await self._decide(self._parts.service.readers)
        ids = {view.name: view.id for view in views}
        readers = [
            answers.SimulatedReader(id=ids[name], name=name)
            for name in hand.readers()
            if name in ids
        ]
        return answer(answers.Cast(cards=list(hand.cards()), readers=readers))

    async def insert(
        self, body: requests.InsertCard, reader_id: Annotated[str, Path(max_length=64)]
    ) -> Response:
        """Put a card of the cast into a simulated reader."""
        hand, name = self._hand(), await self._simulated_reader(reader_id)
        try:
            await asyncio.to_thread(hand.insert, body.card, name)
        except LookupError:
            raise ProblemError(Problem("simulation.unknown")) from None
        except ValueError:
            raise ProblemError(Problem("simulation.occupied")) from None
        return Response(status_code=204)

    async def remove(self, reader_id: Annotated[str, Path(max_length=64)]) -> Response:
        """Take the card out of a simulated reader."""
        hand, name = self._hand(), await self._simulated_reader(reader_id)
        await asyncio.to_thread(hand.remove, name)
        return Response(status_code=204)

    async def _simulated_reader(self, reader_id: str) -> str:
        views = await self._decide(self._parts.service.readers)
        found = (view.name for view in views if view.id == reader_id)
        name = next(found, None)
        if name is None or name not in self._hand().readers():
            raise ProblemError(Problem("simulation.unknown"))
        return name

    def _hand(self) -> SimulatedDesk:
        hand = self._parts.simulated_desk
        if hand is None:
            raise ProblemError(Problem("request.not_found"))
        return hand

    async def _keyed(
        self,
        client: Client,
        keyed: Keyed,
        wait: float,
        call: Callable[[], TransactionView],
    ) -> Response:
        """A request that must have its effect once, however often it comes."""
        claim = (client.id, keyed.key)
        if claim in self._in_flight.keys:
            raise ProblemError(Problem("idempotency.in_progress"), retry_after=1)
        self._in_flight.keys.add(claim)
        try:
            view = await self._decide(call)
            transaction_id = view.origin.transaction_id
            if wait and not view.is_terminal:
                now = await self._until(
                    transaction_id, client, wait, lambda latest: latest.is_terminal
                )
                view = replace(now, replayed=view.replayed)
        finally:
            self._in_flight.keys.discard(claim)
        headers = {"Location": f"/v1/transactions/{transaction_id}"}
        if view.replayed:
            headers["Idempotency-Replayed"] = "true"
        status = 200 if wait and view.is_terminal else 202
        shown = self._parts.rendering.transaction(view)
        return answer(shown, status=status, headers=headers)

    async def _until(
        self,
        transaction_id: str,
        client: Client,
        seconds: float,
        satisfied: Callable[[TransactionView], bool],
    ) -> TransactionView:
        """The transaction once it is as wanted, or as it is when the time is over."""
        look = self._parts.service.transaction
        deadline = asyncio.get_running_loop().time() + seconds
        async with self._parts.hub.changes_of(transaction_id) as changed:
            while True:
                changed.clear()
                view = await self._decide(lambda: look(client, transaction_id))
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0 or satisfied(view) or view.is_terminal:
                    return view
                try:
                    await asyncio.wait_for(changed.wait(), left)
                except TimeoutError:
                    return view


def _event_number(header: str | None) -> int | None:
    return int(header) if header is not None and header.isdecimal() else None


def _sent(event: Happening) -> ServerSentEvent:
    return ServerSentEvent(
        event=event.type, id=str(event.id), raw_data=msgspec.json.encode(event).decode()
    )


def router(parts: Parts) -> APIRouter:
    """Every route of this agent; what they answer stands in `description`."""
    api = Api(parts)
    routes = APIRouter()
    for path, starting in (
        ("/v1/transactions", api.start),
        ("/v1/transactions/{transaction_id}/cancel", api.cancel),
        ("/v1/transactions/{transaction_id}/confirm", api.confirm),
        ("/v1/transactions/{transaction_id}/continue", api.go_on),
    ):
        routes.post(path, status_code=202)(starting)
    for path, reading in (
        ("/v1/transactions", api.transactions),
        ("/v1/transactions/{transaction_id}", api.transaction),
        ("/v1/activations", api.activations),
        ("/v1/activations/{intent_id}", api.activation),
        ("/v1/readers", api.readers),
        ("/v1/errors", api.errors),
        ("/readyz", api.readyz),
    ):
        routes.get(path)(reading)
    place = [Depends(api.place_in_stream)]
    following = routes.get(
        "/v1/events", response_class=EventSourceResponse, dependencies=place
    )
    following(api.events)
    routes.get("/healthz", status_code=204)(api.healthz)
    if parts.simulated_desk is not None:
        routes.get("/v1/simulate/cast")(api.cast)
        at = "/v1/simulate/readers/{reader_id}"
        routes.post(f"{at}/insert", status_code=204)(api.insert)
        routes.post(f"{at}/remove", status_code=204)(api.remove)
    return routes
