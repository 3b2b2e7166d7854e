"""Words on a terminal: in the operator's language, or in both when that is not known."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

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


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()


def json_line(value: object) -> None:
    """One JSON document on standard output; escaped where the console lacks a character."""
    text = json.dumps(value, ensure_ascii=not _takes_all(sys.stdout), indent=2)
    _write(sys.stdout, text)


def passed(text: str) -> None:
    """One line of JSON as it is, escaped where the console lacks a character."""
    if not (text.isascii() or _takes_all(sys.stdout)):
        escaped = (c if c.isascii() else json.dumps(c).strip('"') for c in text)
        text = "".join(escaped)
    _write(sys.stdout, text)


def shows_colours() -> bool:
    """Whether somebody looks at a terminal that has some and wants them."""
    has_some = os.environ.get("TERM", "dumb") != "dumb" or "WT_SESSION" in os.environ
    return has_some and not os.environ.get("NO_COLOR") and sys.stdout.isatty()


def _takes_all(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") in ("utf8", "gb18030")


def octets(text: str, encoding: str) -> None:
    """One line for a program that wants this encoding, and for a console in its own."""
    if sys.stdout.isatty():
        line(text)
        return
    sys.stdout.buffer.write(text.encode(encoding) + b"\n")
    sys.stdout.flush()


def complain(problem: Problem, *, as_json: bool, **more: str) -> None:
    """A problem on standard error: an object for programs, sentences for people."""
    from plugin import main

    pass_on(main.catalogue().body(problem, **more), as_json=as_json)


def pass_on(body: Mapping[str, Any], *, as_json: bool = False) -> None:
    """The same with a problem object that somebody else has made."""
    if as_json or not sys.stderr.isatty():
        _write(sys.stderr, json.dumps(body, ensure_ascii=not _takes_all(sys.stderr)))
        return
    for text in sentences(body):
        _write(sys.stderr, text)


def sentences(body: Mapping[str, Any]) -> list[str]:
    """A problem object for people: what is wrong and where, then what to do, step by
    step, and at the end the ways back, to be read out or printed."""
    if "messages" not in body:  # not one of ours
        return [str(body.get("detail") or body.get("title") or body)]
    steps = [
        step
        for language in languages()
        for step in _steps(body["remedy"][language], body.get("way_back", []))
    ]
    place = [f"  ({body['error']}, {body['at']})"] if "at" in body else []
    wrong = [
        f"  {each['pointer']}: {each['reason']}" for each in body.get("errors", [])
    ]
    return [said(body["messages"]), *wrong, *place, *steps]


def _steps(remedy: list[str], ways: list[Mapping[str, Any]]) -> Iterator[str]:
    """A dash before what to do; the stops of the ways, its last lines, are numbered."""
    stops = sum(len(way["stops"]) for way in ways)
    here = len(remedy) - stops
    yield from (f"  - {step}" for step in remedy[:here])
    yield from (f"  {step}" for step in remedy[here:])
