"""A private resource manager for the rows that need one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from simulator.vpcd import SOCKET_VARIABLE, PrivatePcscd, missing_parts
from tests.benchmarks.figures import PartMissingError


@dataclass(frozen=True, slots=True)
class Manager:
    """Where its readers take cards, and what a process needs to see them."""

    ports: tuple[int, int]
    environment: Mapping[str, str]


@contextmanager
def running() -> Iterator[Manager]:
    """pcscd with two empty readers. Raises PartMissingError."""
    missing = missing_parts()
    if missing:
        raise PartMissingError(f"not installed: {', '.join(missing)}")
    with PrivatePcscd() as pcscd:
        yield Manager(pcscd.ports, {SOCKET_VARIABLE: str(pcscd.socket_path)})
