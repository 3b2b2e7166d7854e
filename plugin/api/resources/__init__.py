"""Everything this agent can be asked, a file for each resource."""

from __future__ import annotations

from plugin.api.operation import Operation
from plugin.api.resources.activations import Activations
from plugin.api.resources.clients import Clients
from plugin.api.resources.diagnostics import Diagnostics
from plugin.api.resources.following import Events
from plugin.api.resources.health import Health
from plugin.api.resources.hello import Hello
from plugin.api.resources.metrics import Metrics
from plugin.api.resources.pages import Pages
from plugin.api.resources.pairings import Pairings
from plugin.api.resources.readers import Readers
from plugin.api.resources.region import Region
from plugin.api.resources.resource import Entrance, Parts
from plugin.api.resources.simulation import Simulation
from plugin.api.resources.transactions import Transactions

__all__ = ["RESOURCES", "Entrance", "Parts", "operations"]

RESOURCES = (
    Transactions,
    Activations,
    Readers,
    Events,
    Health,
    Pages,
    Pairings,
    Clients,
    Hello,
    Region,
    Diagnostics,
    Metrics,
    Simulation,
)


def operations(parts: Parts) -> list[Operation]:
    """The operations of all of them."""
    return [each for kind in RESOURCES for each in kind(parts).operations()]
