"""A private resource manager for the rows that need one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from simulator.resource_manager import PrivatePcscd, missing_parts
from simulator.vpcd import PACKAGES, VpcdDriver
from tests.benchmarks.figures import PartMissingError


@dataclass(frozen=True, slots=True)
class Manager:
    """Where its readers take cards, and what a process needs to see them."""

    ports: tuple[int, int]
    environment: Mapping[str, str]


@contextmanager
def running() -> Iterator[Manager]:
    """pcscd with two empty readers. Raises PartMissingError."""
    missing = missing_parts(PACKAGES)
    if missing:
        raise PartMissingError(f"not installed: {', '.join(missing)}")
    driver = VpcdDriver()
    with PrivatePcscd(driver) as pcscd:
        yield Manager(driver.ports, pcscd.environment)
