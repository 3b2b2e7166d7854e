"""What the README shows is what the code is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from plugin import data_file
from plugin.agent.clients import SCOPES
from plugin.cli import app
from plugin.settings import DEFAULT_PORT
from plugin.settings_file import SettingsFile
from tests import drawings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_pictures_are_those_of_the_code() -> None:
    assert drawings.renewed(README) == README, "renew them: python -m tests.drawings"


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_an_old_picture_would_be_seen(name: str) -> None:
    begin = f"<!-- {name} -->\n"
    old = README.replace(begin, f"{begin}something that was true once\n")

    assert old != README
    assert drawings.renewed(old) == README


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"kaqi ([a-z]+)\b", "\n".join(_code())))
    targets = set(re.findall(r"make ([a-z]+)\b", "\n".join(_code())))

    assert named <= set(app.commands)
    assert {"demo", "test", "bench"} <= targets
    assert all(f"\n{target}:" in MAKEFILE for target in targets)


def test_the_settings_shown_are_settings() -> None:
    (shown,) = (block for block in _blocks("toml") if "[institution]" in block)

    settings = data_file.check("README", tomllib.loads(shown), SettingsFile)

    assert settings.port == DEFAULT_PORT


def test_every_scope_that_is_shown_exists() -> None:
    shown = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))

    assert shown <= set(SCOPES)
    assert shown >= {"read", "activate", "identity"}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _code() -> list[str]:
    return [*_blocks("sh"), *re.findall(r"`([^`\n]+)`", README)]
