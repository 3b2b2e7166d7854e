"""Every route, in the order a POS meets them. Each crosses to the deciding thread once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from drivers.ports import SimulatedDesk
from plugin.activation.desk import Action
from plugin.activation.problem import Problem
from plugin.activation.saga import Verdict
from plugin.agent.doctor import Finding
from plugin.agent.happenings import Happenings
from plugin.agent.loop import DecidingLoop
from plugin.agent.service import Client, Kind, Order, ProblemError, Service
from plugin.agent.views import TransactionView
from plugin.api import answers, requests
from plugin.api.events import EventStream, Following, Hub, as_event
from plugin.api.operation import (
    KEY,
    LAST_EVENT_ID,
    PREFER,
    Asked,
    Doing,
    Heading,
    Operation,
    answer,
)
from plugin.api.rendering import Rendering
from plugin.api.requests import Nothing

PING_SECONDS = 15

Result = TypeVar("Result")
Bare = Asked[Nothing, Nothing]
AboutOne = Asked[requests.OneTransaction, Nothing]
WithPin = Asked[requests.OneTransaction, requests.GivePin]
AtReader = Asked[requests.OneReader, Nothing]


class Parts(Struct, frozen=True, kw_only=True):
    """What the routes speak to."""

    loop: DecidingLoop
    service: Service
    happenings: Happenings
    hub: Hub
    rendering: Rendering
    checks: Callable[[], tuple[Finding, ...]]
    simulated_desk: SimulatedDesk | None


class Api:
    """The routes as methods, so that what they share is written once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def _decide(self, call: Callable[[], Result]) -> Result:
        """Have something done on the deciding thread."""
        return await asyncio.wrap_future(self._parts.loop.ask(call))

    async def start(self, asked: Asked[Nothing, requests.StartTransaction]) -> Response:
        """Start a transaction. 202 with the snapshot; 200 when it has ended meanwhile."""
        body, client, keyed = asked.body, asked.client, asked.keyed
        order = Order(
            kind=Kind(body.kind),
            scenario=body.asked_scenario,
            pos_ref=body.pos_ref,
            operator_ref=body.operator_ref,
            readers=frozenset(body.readers) if body.readers is not None else None,
        )
        start = self._parts.service.start
        return await self._once(asked, lambda: start(client, order, keyed))

    async def cancel(self, asked: AboutOne) -> Response:
        """Cancel: possible until the centre has the message, never after."""
        return await self._act(asked, Action.CANCEL)

    async def confirm(self, asked: AboutOne) -> Response:
        """The operator has compared the holder and says yes."""
        return await self._act(asked, Action.CONFIRM)

    async def go_on(self, asked: AboutOne) -> Response:
        """Look again at the cards that are in: one that was turned away, or one from
        before that is the right one after all. Where a registration is waited for: the
        visit is registered now, ask the centre."""
        return await self._act(asked, Action.CONTINUE)

    async def pin(self, asked: WithPin) -> Response:
        """The holder has typed what `expects` asks for; with neither PIN, it begins on the
        reader's keypad. It is presented to the card once. 202 with the snapshot."""
        give, client, keyed = self._parts.service.give_pin, asked.client, asked.keyed
        transaction_id, said = asked.where.transaction_id, asked.body
        view = await self._decide(
            lambda: give(client, transaction_id, said.typed, keyed, said.seq)
        )
        return self._begun(view)

    async def _act(self, asked: AboutOne, action: Action) -> Response:
        act, client, keyed = self._parts.service.act, asked.client, asked.keyed
        transaction_id = asked.where.transaction_id
        return await self._once(
            asked, lambda: act(client, transaction_id, action, keyed)
        )

    async def transactions(self, asked: Asked[requests.Chosen, Nothing]) -> Response:
        """The transactions of this run of the agent, the newest first."""
        pos_ref, state, client = asked.where.pos_ref, asked.where.state, asked.client
        views = await self._decide(lambda: self._parts.service.transactions(client))
        chosen = [
            view
            for view in views
            if pos_ref in (None, view.origin.pos_ref) and state in (None, view.state)
        ]
        render = self._parts.rendering.transaction
        shown = [render(view) for view in chosen[: requests.LIST_MAX]]
        return answer(answers.Transactions(transactions=shown))

    async def transaction(self, asked: Asked[requests.Snapshot, Nothing]) -> Response:
        """A snapshot; with `wait` and `after_seq`, as soon as it has another `seq`."""
        where = asked.where

        def different(view: TransactionView) -> bool:
            return where.after_seq is None or view.seq != where.after_seq

        view = await self._until(
            where.transaction_id, asked.client, where.wait, different
        )
        return answer(self._parts.rendering.transaction(view))

    async def activations(self, asked: Asked[requests.Newest, Nothing]) -> Response:
        """The durable records, the newest first."""
        recent, limit = self._parts.service.recent_activations, asked.where.limit
        records = await self._decide(lambda: recent(limit))
        render = self._parts.rendering.activation
        shown = [render(record) for record in records]
        return answer(answers.Activations(activations=shown))

    async def activation(
        self, asked: Asked[requests.OneActivation, Nothing]
    ) -> Response:
        """One durable record."""
        find, intent_id = self._parts.service.activation, asked.where.intent_id
        record = await self._decide(lambda: find(intent_id))
        return answer(self._parts.rendering.activation(record))

    async def settle(
        self, asked: Asked[requests.OneActivation, requests.Settle]
    ) -> Response:
        """A person has asked the centre's people what became of an activation that needs
        one, and answers for it; journalled with the reason. It cannot be taken back."""
        client, body, keyed = asked.client, asked.body, asked.keyed
        intent_id, verdict = asked.where.intent_id, Verdict(body.verdict)
        settle = self._parts.service.settle
        record = await self._decide(
            lambda: settle(
                client, intent_id, verdict, body.reason, body.operator_ref, keyed
            )
        )
        return answer(self._parts.rendering.activation(record))

    async def readers(self, asked: Bare) -> Response:
        """Every reader, and why some cannot be asked."""
        service, rendering = self._parts.service, self._parts.rendering
        views, troubles = await self._decide(
            lambda: (service.readers(), service.reader_troubles())
        )
        return answer(rendering.readers(views, troubles, asked.trace_id))

    async def errors(self, _: Bare) -> Response:
        """Every problem the agent can name, in both languages, with its remedy."""
        return answer(self._parts.rendering.catalogue_list())

    async def events(self, asked: Bare) -> Response:
        """What happens, as it happens. With Last-Event-ID, what was missed comes first;
        `stream.gap` says that some of it is gone."""
        followed = self._parts.hub.follow()
        if followed is None:
            raise ProblemError(Problem("stream.too_many_clients"), retry_after=5)
        content = self._following(followed, asked.last_event_id)
        return EventStream(content, lambda: self._parts.hub.leave(followed))

    async def _following(
        self, followed: Following, last: int | None
    ) -> AsyncIterator[bytes]:
        happenings = self._parts.happenings
        whole, missed = await self._decide(
            lambda: happenings.since(happenings.last_id if last is None else last)
        )
        yield await self._stream_start(last, whole=whole)
        told = last if last is not None and whole else 0
        for event in missed:
            told = event.id
            yield as_event(event.type, event, event.id)
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    following = await followed.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if following is None:
                return
            if following.id > told:
                yield as_event(following.type, following, following.id)

    async def _stream_start(self, last: int | None, *, whole: bool) -> bytes:
        """Where the stream begins: a snapshot, and whether something was missed."""
        if last is not None and not whole:
            return as_event("stream.gap", {"last_event_id": last})
        service = self._parts.service
        readers = await self._decide(service.readers)
        live = await self._decide(service.live_transactions)
        return as_event(
            "stream.snapshot",
            {"readers": [view.id for view in readers], "transactions": list(live)},
        )

    async def healthz(self, _: Bare) -> Response:
        """Alive; says nothing else."""
        return Response(status_code=204)

    async def readyz(self, asked: Bare) -> Response:
        """Whether transactions can be carried out now, and what is missing."""
        found = await asyncio.to_thread(self._parts.checks)
        shown = self._parts.rendering.readiness(found, asked.trace_id)
        return answer(shown, status=200 if shown.ready else 503)

    async def cast(self, _: Bare) -> Response:
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
        self, asked: Asked[requests.OneReader, requests.InsertCard]
    ) -> Response:
        """Put a card of the cast into a simulated reader."""
        hand, name = self._hand(), await self._simulated_reader(asked.where.reader_id)
        try:
            await asyncio.to_thread(hand.insert, asked.body.card, name)
        except LookupError:
            raise ProblemError(Problem("simulation.unknown")) from None
        except ValueError:
            raise ProblemError(Problem("simulation.occupied")) from None
        return Response(status_code=204)

    async def remove(self, asked: AtReader) -> Response:
        """Take the card out of a simulated reader."""
        hand, name = self._hand(), await self._simulated_reader(asked.where.reader_id)
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

    async def _once(
        self, asked: Asked[Any, Any], call: Callable[[], TransactionView]
    ) -> Response:
        """A request that must have its effect once, however often it comes."""
        client, wait = asked.client, asked.wait
        view = await self._decide(call)
        transaction_id = view.origin.transaction_id
        if wait and not view.is_terminal:
            now = await self._until(
                transaction_id, client, wait, lambda latest: latest.waits_for_client
            )
            view = replace(now, replayed=view.replayed)
        return self._begun(view, status=200 if wait and view.is_terminal else 202)

    def _begun(self, view: TransactionView, status: int = 202) -> Response:
        transaction_id = view.origin.transaction_id
        headers = {"Location": f"/v1/transactions/{transaction_id}"}
        if view.replayed:
            headers["Idempotency-Replayed"] = "true"
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
                over = left <= 0 or self._parts.hub.is_stopping
                if over or satisfied(view) or view.is_terminal:
                    return view
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), left)


def operations(parts: Parts) -> list[Operation]:
    """Everything this agent can be asked; what simulates only where it simulates."""
    api = Api(parts)
    one = "/v1/transactions/{transaction_id}"
    begun = {200: answers.Transaction, 202: answers.Transaction}
    acting = (KEY, PREFER)
    ready = {200: answers.Readiness, 503: answers.Readiness}
    found = [
        Operation("POST", "/v1/transactions", api.start, begun, acting),
        Operation("POST", f"{one}/cancel", api.cancel, begun, acting),
        Operation("POST", f"{one}/confirm", api.confirm, begun, acting),
        Operation("POST", f"{one}/continue", api.go_on, begun, acting),
        Operation("POST", f"{one}/pin", api.pin, {202: answers.Transaction}, (KEY,)),
        _reading("/v1/transactions", api.transactions, answers.Transactions),
        _reading(one, api.transaction, answers.Transaction),
        _reading("/v1/activations", api.activations, answers.Activations),
        _reading("/v1/activations/{intent_id}", api.activation, answers.Activation),
        Operation(
            "POST",
            "/v1/activations/{intent_id}/settle",
            api.settle,
            {200: answers.Activation},
            (KEY,),
        ),
        _reading("/v1/readers", api.readers, answers.Readers),
        _reading("/v1/errors", api.errors, answers.CatalogueList),
        _reading("/v1/events", api.events, answers.Event, LAST_EVENT_ID),
        Operation("GET", "/healthz", api.healthz, {204: None}),
        Operation("GET", "/readyz", api.readyz, ready),
    ]
    if parts.simulated_desk is not None:
        at = "/v1/simulate/readers/{reader_id}"
        found += [
            _reading("/v1/simulate/cast", api.cast, answers.Cast),
            Operation("POST", f"{at}/insert", api.insert, {204: None}),
            Operation("POST", f"{at}/remove", api.remove, {204: None}),
        ]
    return found


def _reading(
    path: str, does: Doing, shows: type[Struct], *headings: Heading
) -> Operation:
    return Operation("GET", path, does, {200: shows}, headings)
