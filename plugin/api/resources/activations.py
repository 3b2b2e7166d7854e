"""The durable records, and what a person settles."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response

from plugin.activation.saga import Activation, Verdict
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
        """The durable records, the newest first. `next` is the `before` of the page that
        follows; null where nothing older is left. A page of a search may be empty although
        there is a next: then it was not found in a few hundred records."""
        service, wanted = self._parts.service, asked.where.wanted

        def found() -> answers.Activations:
            page = service.page_of_activations(wanted)
            shown = [self._shown(record) for record in page.records]
            return answers.Activations(activations=shown, next=page.before)

        return answer(await self._decide(found))

    def _shown(self, record: Activation) -> answers.Activation:
        """On the deciding thread."""
        next_try = self._parts.service.next_try_at(record)
        return self._parts.rendering.activation(record, next_try)

    async def activation(
        self, asked: Asked[requests.OneActivation, Nothing]
    ) -> Response:
        """One durable record."""
        find, intent_id = self._parts.service.activation, asked.where.intent_id
        return answer(await self._decide(lambda: self._shown(find(intent_id))))

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
