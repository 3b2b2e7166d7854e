"""The floors in C, built when they are needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.benchmarks.figures import PartMissingError

SOURCES = Path(__file__).parent
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")
HEADERS = Path("/usr/include/PCSC")  # Debian's, should pkg-config be missing
COMPILE_SECONDS = 60


def compiled(name: str, folder: Path) -> str:
    """Build `name`.c into `folder`; returns the program. Raises PartMissingError."""
    if shutil.which("gcc") is None:
        raise PartMissingError("gcc is not installed")
    program = folder / name
    source = SOURCES / f"{name}.c"
    command = ["gcc", *FLAGS, str(source), "-o", str(program), *_pcsclite()]
    subprocess.run(command, check=True, timeout=COMPILE_SECONDS)
    return str(program)


def _pcsclite() -> list[str]:
    if shutil.which("pkg-config") is not None:
        asked = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libpcsclite"],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMPILE_SECONDS,
        )
        if asked.returncode == 0:
            return asked.stdout.split()
    if not HEADERS.exists():
        raise PartMissingError("libpcsclite-dev is not installed")
    return [f"-I{HEADERS}", "-lpcsclite"]
