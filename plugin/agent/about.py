"""Which agent this is, and since when it runs."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from drivers.ports import Clock
from plugin.activation.region import RegionProfile, Scenario
from plugin.settings import Settings

NAME = "kaqi"
API_VERSIONS = ("v1",)


class About(Struct, frozen=True, kw_only=True):
    """One run of the agent; `instance_id` is made up at its start, `began` is what its
    clock showed then."""

    version: str
    instance_id: str
    simulated: bool
    safe_mode: bool  # the journal is damaged, and nothing can be promised
    profile: RegionProfile
    settings: Settings
    clock: Clock
    began: float
    started_at: str

    @property
    def mode(self) -> Literal["production", "simulation"]:
        """Whether anything here is real."""
        return "simulation" if self.simulated else "production"

    @property
    def scenarios(self) -> list[str]:
        """What this institution may do here, in the order of the counter."""
        kind = self.settings.institution.kind
        return [each.value for each in Scenario if self.profile.rules(kind, each)]

    @property
    def uptime(self) -> float:
        """Seconds since its start."""
        return self.clock.monotonic() - self.began

    @property
    def now(self) -> str:
        """What its wall clock shows, RFC 3339."""
        return self.clock.now().isoformat(timespec="seconds")

    @property
    def capabilities(self) -> list[str]:
        """What a client can rely on, here and with these rules."""
        able = {
            "activation": True,
            "dry_run": True,
            "events": True,
            "pin": self.profile.pin.wanted,
            "settle": True,
            "simulate": self.simulated,
        }
        return [name for name, is_able in able.items() if is_able]
