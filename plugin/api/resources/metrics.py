"""What the agent has counted, as Prometheus reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.responses import Response

from plugin.activation.saga import IN_DOUBT, TERMINAL, ActivationState
from plugin.agent.counting import Labels
from plugin.agent.readers import ReaderState, ReaderView
from plugin.api.exposition import MEDIA, Standing, exposed
from plugin.api.operation import Bare, Operation
from plugin.api.resources.resource import Parts, Resource

UNFINISHED = tuple(state for state in ActivationState if state not in TERMINAL)


class Metrics(Resource):
    """Metrics."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        yield Operation(
            "GET", "/metrics", self.metrics, "read", {200: str}, media=MEDIA
        )

    async def metrics(self, _: Bare) -> Response:
        """Everything that is counted, for Prometheus. No label names a person, a card, a
        sale or a transaction."""
        return Response(await measured(self._parts), media_type=MEDIA)


async def measured(parts: Parts) -> bytes:
    """The metrics as text."""
    service = parts.service
    asked = parts.loop.ask(lambda: (service.readers(), service.unfinished()))
    readers, unfinished = await asyncio.wrap_future(asked)
    standings = [
        *_of_the_agent(parts),
        Standing(
            kind="gauge",
            name="activations",
            about="Durable activations that have not ended, by state.",
            labels=("state",),
            rows={(state.value,): unfinished.get(state, 0) for state in UNFINISHED},
        ),
        Standing(
            kind="gauge",
            name="in_doubt_current",
            about="Activations of which the centre may know without our knowing more.",
            rows={(): sum(unfinished.get(state, 0) for state in IN_DOUBT)},
        ),
        Standing(
            kind="gauge",
            name="reader_state",
            about="1 for the state that a reader is in.",
            labels=("reader", "transport", "state"),
            rows=dict(row for view in readers for row in _states(view)),
        ),
    ]
    return await asyncio.to_thread(exposed, parts.counts, standings)


def _of_the_agent(parts: Parts) -> Iterator[Standing]:
    about = parts.about
    yield Standing(
        kind="gauge",
        name="info",
        about="Which agent this is.",
        labels=("version", "profile", "mode"),
        rows={(about.version, about.profile.label, about.mode): 1},
    )
    yield Standing(
        kind="gauge",
        name="uptime_seconds",
        about="How long it has been running.",
        rows={(): about.uptime},
    )
    yield Standing(
        kind="counter",
        name="events_dropped",
        about="Events that were not delivered because a follower was too slow.",
        rows={(): parts.hub.dropped},
    )
    yield Standing(
        kind="counter",
        name="auth_rejected",
        about="Requests that were refused at the door, by the problem's code.",
        labels=("reason",),
        rows={(code,): count for code, count in dict(parts.rejections()).items()},
    )


def _states(view: ReaderView) -> Iterator[tuple[Labels, float]]:
    for state in ReaderState:
        yield (view.id, view.transport, state.value), float(state is view.state)
