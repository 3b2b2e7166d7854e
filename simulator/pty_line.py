"""Our end of a serial line: a pseudo-terminal that programs open like a port."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import tty
from pathlib import Path

CHUNK = 4096


class PtyLine:
    """`link` is the path others open; it stays the same when the line is unplugged and
    plugged in again."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._near: int | None = None
        self._far: int | None = None
        self._woken, self._waking = socket.socketpair()
        self.plug()

    def plug(self) -> None:
        """A fresh line under the same path."""
        self._near, self._far = os.openpty()
        os.set_blocking(self._near, False)  # what nobody takes is lost
        tty.setraw(self._far)  # kept open, so that nobody's close ends the line
        path = os.ttyname(self._far)
        Path(path).chmod(0o666)  # a resource manager does not run as we do
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(path)

    def unplug(self) -> None:
        """The line ends for whoever has it open, and its path with it."""
        self.link.unlink(missing_ok=True)
        near, far, self._near, self._far = self._near, self._far, None, None
        for each in (near, far):
            if each is not None:
                os.close(each)
        self.wake()

    @property
    def plugged(self) -> bool:
        """Whether it can be opened."""
        return self._near is not None

    def read(self, seconds: float | None = None) -> bytes:
        """What the other side has sent; empty when woken, or when nothing comes."""
        near = self._near
        waited = [self._woken.fileno()] + ([near] if near is not None else [])
        ready, _, _ = select.select(waited, [], [], seconds)
        if self._woken.fileno() in ready:
            self._woken.recv(CHUNK)
            return b""
        if near is None or near not in ready:
            return b""
        with contextlib.suppress(OSError):
            return os.read(near, CHUNK)
        return b""

    def write(self, data: bytes) -> None:
        """Send; into nothing when the line is unplugged, or full."""
        near = self._near
        if near is not None:
            with contextlib.suppress(OSError):
                os.write(near, data)

    def wake(self) -> None:
        """End a `read` that waits."""
        with contextlib.suppress(OSError):
            self._waking.send(b"\0")

    def close(self) -> None:
        """Unplug for good."""
        self.unplug()
        self._woken.close()
        self._waking.close()
