"""The durable records, and what a person settles."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response

from plugin.activation.saga import Verdict
from plugin.api import answers, requests
from plugin.api.operation import JOURNAL, KEY, Asked, Operation, answer, reading
from plugin.api.requests import Nothing
from plugin.api.resources.resource import Resource

_ONE = "/v1/activations/{intent_id}"


class Activations(Resource):
    """Activations."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        unknown = ("activation.unknown", *JOURNAL)
        yield reading(
            "/v1/activations", self.activations, answers.Activations, problems=JOURNAL
        )
        yield reading(_ONE, self.activation, answers.Activation, problems=unknown)
        yield Operation(
            "POST",
            f"{_ONE}/settle",
            self.settle,
            "operate",
            {200: answers.Activation},
            (KEY,),
            problems=("activation.not_for_a_person", *unknown),
        )

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
