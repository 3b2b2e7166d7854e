"""By what this machine is known to itself, so that a copy of its disk is noticed.
And what it keeps of us when we crash.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_LINUX = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def machine_id() -> str | None:
    """What the operating system calls this installation; None where it does not say.
    Sources: machine-id(5); MachineGuid in the Windows registry."""
    if sys.platform == "win32":
        return _windows()
    for file in _LINUX:
        with suppress(OSError, UnicodeDecodeError):
            found = file.read_text(encoding="ascii").strip()
            if found:
                return found
    return None


def leave_no_core() -> None:
    """From now on this process leaves no image of its memory behind when it crashes, and
    neither does what it starts (core(5)). Windows leaves one only where it is told to."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _windows() -> str | None:
    if sys.platform != "win32":  # so that types are checked on both
        return None
    import winreg

    place = r"SOFTWARE\Microsoft\Cryptography"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return str(winreg.QueryValueEx(key, "MachineGuid")[0])
    except OSError:
        return None
