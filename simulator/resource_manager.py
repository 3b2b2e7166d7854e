"""A resource manager of our own: the real pcscd with the drivers we choose, on a socket that
only those find who are told of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Protocol

DRIVER_FOLDERS = (
    Path("/usr/lib/pcsc/drivers/serial"),
    Path("/usr/local/lib/pcsc/drivers/serial"),
)
SOCKET_VARIABLE = "PCSCLITE_CSOCK_NAME"  # where libpcsclite looks for its service
RUN_FOLDER = Path("/run/pcscd")  # must exist, or pcscd gives up
START_SECONDS = 10.0  # of one start
STARTS = 3  # on a machine that has no time, the driver gives a reader up
STOP_SECONDS = 5.0
LOOK_SECONDS = 0.005
_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class ReaderDriver(Protocol):
    """A driver that pcscd loads, and the readers it is to find."""

    name: str

    def configuration(self) -> str:
        """A file as in reader.conf(5)."""
        ...

    def is_ready(self) -> bool:
        """Whether its readers can be used."""
        ...


def library(name: str) -> Path | None:
    """Where a driver's library is installed, if it is."""
    found = (folder / name for folder in DRIVER_FOLDERS)
    return next((path for path in found if path.exists()), None)


def missing_parts(packages: dict[str, str]) -> tuple[str, ...]:
    """The Debian packages without which there is no such resource manager: pcscd, and those
    of `packages` (by library) that are not installed."""
    pcscd = () if shutil.which("pcscd", path=_SEARCH_PATH) else ("pcscd",)
    missing = (pack for name, pack in packages.items() if library(name) is None)
    return (*pcscd, *missing)


class PrivatePcscd:
    """A pcscd with these drivers and no others.

    It never runs as root: as root it would overwrite, and at its end delete, the system's
    pid file. Use as a context manager, or `start` and `stop`; both may alternate.
    """

    def __init__(self, *drivers: ReaderDriver) -> None:
        self._drivers = drivers
        self._folder = Path(tempfile.mkdtemp(prefix="kaqi-pcscd-"))
        self._folder.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self.socket_path = self._folder / "pcscd.comm"
        for driver in drivers:
            configuration = self._folder / "readers" / driver.name
            configuration.parent.mkdir(exist_ok=True)
            configuration.write_text(driver.configuration(), encoding="ascii")

    def __enter__(self) -> PrivatePcscd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        process = self._process
        runs = process is not None and process.poll() is None
        return process.pid if process is not None and runs else None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead to it."""
        return {SOCKET_VARIABLE: str(self.socket_path)}

    def start(self) -> None:
        """Start it and wait until its drivers are ready.

        Raises RuntimeError when it does not come up, however often it is tried.
        """
        for _ in range(STARTS):
            self._spawn()
            if self._is_ready_in_time():
                return
            self.stop()
        missing = [driver.name for driver in self._drivers if not driver.is_ready()]
        raise RuntimeError(f"the private pcscd did not start, without {missing}")

    def _spawn(self) -> None:
        if os.geteuid() == 0:
            RUN_FOLDER.mkdir(exist_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with listener:
            self.socket_path.unlink(missing_ok=True)
            listener.bind(str(self.socket_path))
            self.socket_path.chmod(0o666)
            listener.listen(16)
            folder = self._folder / "readers"
            self._process = _spawn_with_listener(listener, folder)

    def stop(self) -> None:
        """End it, as an administrator would."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.socket_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_ready_in_time(self) -> bool:
        pause = threading.Event()
        for _ in range(int(START_SECONDS / LOOK_SECONDS)):
            if all(driver.is_ready() for driver in self._drivers):
                return True
            if self._process is None or self._process.poll() is not None:
                return False
            pause.wait(LOOK_SECONDS)
        return False


_BECOME = 'exec 3<&0 0</dev/null; LISTEN_PID=$$ exec "$0" --foreground --config "$1"'


def _spawn_with_listener(
    listener: socket.socket, folder: Path
) -> subprocess.Popen[bytes]:
    """Start pcscd with `listener` as descriptor 3, as a service manager would: a shell
    takes it from its standard input, writes its pid into LISTEN_PID and becomes pcscd."""
    pcscd = shutil.which("pcscd", path=_SEARCH_PATH)
    if pcscd is None:
        raise RuntimeError("pcscd is not installed")
    as_nobody = os.geteuid() == 0
    dies_with_us = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    return subprocess.Popen(  # noqa: S603 - our own script, a found pcscd
        [*dies_with_us, "/bin/sh", "-c", _BECOME, pcscd, str(folder)],
        env={"LISTEN_FDS": "1", "PATH": _SEARCH_PATH},
        stdin=listener.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user="nobody" if as_nobody else None,
        group="nogroup" if as_nobody else None,
        extra_groups=[] if as_nobody else None,
    )
