"""Region profiles and settings as files, for agents in processes of their own."""

from __future__ import annotations

import re
from pathlib import Path

from plugin.profile_file import REGIONS

SETTINGS = """
region = "{region}"
[institution]
code = "H9999"
name = "试用医院"
kind = "hospital"
"""


def settings_for(folder: Path, **pin: str) -> str:
    """A hospital's settings with the reference region, but for these keys of `[pin]`, each
    with its value as TOML."""
    profile = (REGIONS / "reference.toml").read_text(encoding="utf-8")
    head, title, rest = profile.partition("[pin]\n")
    for key, value in pin.items():
        rest, found = re.subn(
            rf"^{key} = .*$", f"{key} = {value}", rest, count=1, flags=re.MULTILINE
        )
        assert found, key
    region = folder / "city.toml"
    region.write_text(head + title + rest, encoding="utf-8")
    settings = folder / "kaqi.toml"
    settings.write_text(SETTINGS.format(region=region), encoding="utf-8")
    return str(settings)
