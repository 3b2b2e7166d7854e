"""Transactions: what a POS starts, follows and steers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from plugin.activation.desk import Action
from plugin.agent.run import Kind
from plugin.agent.service import Client, Order
from plugin.agent.views import TransactionView
from plugin.api import answers, requests
from plugin.api.operation import (
    JOURNAL,
    KEY,
    PREFER,
    Asked,
    Doing,
    Heading,
    Operation,
    answer,
    reading,
)
from plugin.api.requests import Nothing
from plugin.api.resources.resource import Parts, Resource

AboutOne = Asked[requests.OneTransaction, Nothing]
WithPin = Asked[requests.OneTransaction, requests.GivePin]
_ONE = "/v1/transactions/{transaction_id}"
_STARTING = (
    "agent.disk_full",
    "reader.busy",
    "reader.unknown",
    "scenario.not_allowed_here",
    *JOURNAL,
)
_UNKNOWN = ("transaction.purged", "transaction.unknown", *JOURNAL)
_STEERING = (
    "transaction.bad_state",
    "transaction.not_cancellable",
    *_UNKNOWN,
)
_WITH_PIN = (  # why it is not presented to the card
    "pin.keypad_only",
    "pin.last_try",
    "pin.length",
    "pin.must_differ_from_initial",
    "pin.new_not_wanted",
    "pin.still_initial",
)
SHOWN_MAX = 100  # and no longer than a turn of the deciding thread
_BEGUN = {200: answers.Transaction, 202: answers.Transaction}


class Transactions(Resource):
    """Each verb crosses to the deciding thread once."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._shown: tuple[int, dict[tuple[Client, str], TransactionView]] = (0, {})

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        yield Operation(
            "POST",
            "/v1/transactions",
            self.start,
            "activate",
            _BEGUN,
            (KEY, PREFER),
            problems=_STARTING,
        )
        yield _acting("cancel", self.cancel, _BEGUN, PREFER)
        yield _acting("confirm", self.confirm, _BEGUN, PREFER)
        yield _acting("continue", self.go_on, _BEGUN, PREFER)
        yield _acting("acknowledge", self.acknowledge, {200: answers.Transaction})
        yield Operation(
            "POST",
            f"{_ONE}/reconcile",
            self.reconcile,
            "activate",
            {202: answers.Transaction},
            (KEY,),
            problems=(*_STEERING, "activation.needs_a_person", "card.must_return"),
        )
        yield Operation(
            "POST",
            f"{_ONE}/pin",
            self.pin,
            "operate",
            {202: answers.Transaction},
            (KEY,),
            problems=(*_STEERING, *_WITH_PIN),
        )
        yield reading(
            "/v1/transactions",
            self.transactions,
            answers.Transactions,
            problems=JOURNAL,
        )
        yield reading(_ONE, self.transaction, answers.Transaction, problems=_UNKNOWN)

    async def start(self, asked: Asked[Nothing, requests.StartTransaction]) -> Response:
        """Start a transaction. 202 with the snapshot; 200 when it has ended meanwhile."""
        body, client, keyed = asked.body, asked.client, asked.keyed
        order = Order(
            kind=Kind(body.kind),
            scenario=body.asked_scenario,
            pos_ref=body.pos_ref,
            operator_ref=body.operator_ref,
            readers=frozenset(body.readers) if body.readers is not None else None,
            cancel_when_lost=body.on_client_loss == "cancel",
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

    async def acknowledge(self, asked: AboutOne) -> Response:
        """The client knows how it has ended. Whatever is not acknowledged is listed with
        `unacknowledged=true`, and announced again when the agent starts. Who did not start
        it needs the scope `operate`."""
        client, keyed = asked.client, asked.keyed
        know, transaction_id = (
            self._parts.service.acknowledge,
            asked.where.transaction_id,
        )
        view = await self._decide(lambda: know(client, transaction_id, keyed))
        return self._begun(view, status=200)

    async def reconcile(self, asked: AboutOne) -> Response:
        """In doubt: ask the centre now, instead of at the next turn. It is asked under the
        same id, and not while it is known to be down. 202 with the snapshot."""
        client, keyed = asked.client, asked.keyed
        ask, transaction_id = self._parts.service.reconcile, asked.where.transaction_id
        view = await self._decide(lambda: ask(client, transaction_id, keyed))
        return self._begun(view)

    async def _act(self, asked: AboutOne, action: Action) -> Response:
        act, client, keyed = self._parts.service.act, asked.client, asked.keyed
        transaction_id = asked.where.transaction_id
        return await self._once(
            asked, lambda: act(client, transaction_id, action, keyed)
        )

    async def transactions(self, asked: Asked[requests.Chosen, Nothing]) -> Response:
        """The transactions of this run of the agent, or all that are not acknowledged; the
        newest first, a hundred at most."""
        where, client, service = asked.where, asked.client, self._parts.service
        listed = (
            service.unacknowledged if where.unacknowledged else service.transactions
        )

        def chosen() -> list[TransactionView]:
            views = (
                view
                for view in listed(client)
                if where.takes(view.origin.pos_ref, view.state, view.origin.received_at)
            )
            return list(islice(views, requests.LIST_MAX))

        render = self._parts.rendering.transaction
        shown = [render(view) for view in await self._decide(chosen)]
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
        deadline = asyncio.get_running_loop().time() + seconds
        async with self._parts.hub.changes_of(transaction_id) as changed:
            while True:
                changed.clear()
                left = max(0.0, deadline - asyncio.get_running_loop().time())
                view = await self._seen(client, transaction_id, left)
                over = left <= 0 or self._parts.hub.is_stopping
                if over or satisfied(view) or view.is_terminal:
                    return view
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), left)

    async def _seen(
        self, client: Client, transaction_id: str, patience: float
    ) -> TransactionView:
        """As it stands now. While nothing at all has changed since somebody asked for it, it
        is shown again; what names a person is not kept for that, and whoever must be there
        is heard every time."""
        asked, loop = (client, transaction_id), self._parts.loop
        turn, views = self._shown
        if turn == loop.turn and asked in views:
            return views[asked]
        find = self._parts.service.transaction
        turn, view = await self._look(
            lambda: (loop.turn, find(client, transaction_id, patience))
        )
        if self._shown[0] != turn or len(self._shown[1]) >= SHOWN_MAX:
            self._shown = turn, {}
        if not view.attended and (view.holder is None or view.holder.masked):
            self._shown[1][asked] = view
        return view


def _acting(
    verb: str,
    does: Doing,
    shows: Mapping[int, type[Struct] | None],
    *headings: Heading,
) -> Operation:
    """What may be asked of a running transaction."""
    path, known = f"{_ONE}/{verb}", (KEY, *headings)
    return Operation("POST", path, does, "activate", shows, known, problems=_STEERING)
