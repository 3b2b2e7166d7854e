"""Words on a terminal: in the operator's language, or in both when that is not known."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from plugin.activation.problem import Problem

CHINESE, ENGLISH = "zh-CN", "en"


def languages() -> tuple[str, ...]:
    """KAQI_LANG, else the locale decides; both where it says nothing."""
    wanted = (
        os.environ.get("KAQI_LANG")
        or os.environ.get("LC_ALL")
        or os.environ.get("LC_MESSAGES")
        or os.environ.get("LANG")
        or ""
    ).lower()
    if wanted.startswith("zh"):
        return (CHINESE,)
    if wanted.startswith("en"):
        return (ENGLISH,)
    return (CHINESE, ENGLISH)


def said(texts: Mapping[str, str]) -> str:
    """A sentence in the operator's language, or both."""
    return " / ".join(texts[language] for language in languages())


def line(text: str = "") -> None:
    """One line on standard output, at once; characters a console lacks become ?."""
    _write(sys.stdout, text)


def _write(stream: object, text: str) -> None:
    assert hasattr(stream, "write")  # noqa: S101 - a text stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def json_line(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


def complain(problem: Problem, *, as_json: bool) -> None:
    """A problem on standard error: an object for programs, sentences for people."""
    from plugin import main

    body = main.catalogue().body(problem)
    if as_json or not sys.stderr.isatty():
        sys.stderr.write(json.dumps(body, ensure_ascii=False) + "\n")
        return
    for text in sentences(body):
        _write(sys.stderr, text)


def sentences(body: Mapping[str, Any]) -> list[str]:
    """A problem object for people: what is wrong, then what to do, step by step."""
    steps = [step for language in languages() for step in body["remedy"][language]]
    return [said(body["messages"]), *(f"  - {step}" for step in steps)]
