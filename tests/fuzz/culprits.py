"""Targets that do what no target may: the harness must notice each."""

from __future__ import annotations

import threading

HOARD_MAX = 600
_hoard: list[bytes] = []


def raises(raw: bytes) -> None:
    """An error that is not documented."""
    if raw[:1] == b"!":
        raise KeyError(raw)


def hangs(raw: bytes) -> None:
    """No end."""
    while raw[:1] == b"!":
        pass


def dawdles(raw: bytes) -> None:
    """An end that comes too late."""
    if raw[:1] == b"!":
        threading.Event().wait(0.1)


def devours(raw: bytes) -> None:
    """Far too much memory for one input."""
    if raw[:1] == b"!":
        len(b"\x01" * (256 << 20))


def hoards(raw: bytes) -> None:
    """A little memory for every input, and none of it given back."""
    if len(_hoard) < HOARD_MAX:
        _hoard.append(raw + b"\x01" * (1 << 20))


def behaves(raw: bytes) -> None:
    """Nothing."""
    len(raw)
