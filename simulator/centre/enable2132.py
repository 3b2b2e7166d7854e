"""The XML dialect with transaction 2132 (domain facts, 4): one message, and no question
about it afterwards. A card that is active already is refused with words that say so, and
nothing is remembered of a message. Whatever comes, the answer is XML in its encoding.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from defusedxml.ElementTree import ParseError, fromstring
from fastapi import FastAPI, HTTPException, Request, Response

from simulator.centre.books import Books, Message
from simulator.centre.faults import refusing_with
from simulator.people import Person

BODY_MAX = 64 * 1024
ACCEPTED, REFUSED = "0", "-1"
ALREADY_ENABLED = "该卡已启用，无需重复办理"
NOT_THE_FIRST = "非首次换卡，请到服务网点办理"
ENCODINGS = {
    b"gb18030": "gb18030",
    b"gbk": "gb18030",
    b"gb2312": "gb18030",
    b"utf-8": "utf-8",
}
_DECLARED = re.compile(rb"""^<\?xml[^>]*?encoding=["']([A-Za-z0-9._-]{1,40})["']""")
_DECLARATION = re.compile(r"^<\?xml[^>]*\?>")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")


class MalformedError(Exception):
    """This is no message; the text says why, to the sender."""


def add_routes(app: FastAPI, books: Books) -> None:
    """Every path that nobody else has."""

    @app.post("/{path:path}", include_in_schema=False)
    async def enable(path: str, request: Request) -> Response:
        if path.startswith(("v1/", "simulation/")) or path == "healthz":
            raise HTTPException(404)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > BODY_MAX:
                break
        encoding = declared(body)
        said = _answer(books, body, encoding)
        name = (encoding or "utf-8").upper()
        return Response(
            f'<?xml version="1.0" encoding="{name}"?>{said}'.encode(name),
            media_type=f"text/xml; charset={name}",
        )


def declared(body: bytes) -> str | None:
    """The encoding a document says it has; None for one that we do not know."""
    found = _DECLARED.match(body)
    return ENCODINGS.get(found[1].lower()) if found else "utf-8"


def _answer(books: Books, body: bytes, encoding: str | None) -> str:
    said: dict[str, str] = {}
    try:
        said = _read(body, encoding)
        words = _judged(books, said)
    except MalformedError as malformed:
        words = str(malformed)
    root = said.get("", "DATA")
    return (
        f"<{root}><RETURNNUM>{REFUSED if words else ACCEPTED}</RETURNNUM>"
        f"<ERRORMSG>{escape(words or '')}</ERRORMSG>"
        f"<REFMSGID>{escape(said.get('MSGID', ''))}</REFMSGID></{root}>"
    )


def _read(body: bytes, encoding: str | None) -> dict[str, str]:
    """The text of every element below the root and inside INPUT, and the root's name under
    an empty one. Raises MalformedError."""
    if len(body) > BODY_MAX:
        raise MalformedError("报文过长")
    if encoding is None:
        raise MalformedError("报文编码不支持")
    try:
        root = fromstring(_DECLARATION.sub("", body.decode(encoding)), forbid_dtd=True)
    except UnicodeError as wrong:
        raise MalformedError("报文编码不符") from wrong
    except (ParseError, ValueError) as wrong:
        raise MalformedError("报文不是有效的XML") from wrong
    said = {"": root.tag if _NAME.fullmatch(root.tag) else "DATA"}
    for element in (*root, *root.iterfind("INPUT/*")):
        said.setdefault(element.tag, (element.text or "").strip())
    return said


def _judged(books: Books, said: dict[str, str]) -> str | None:
    """The centre's words where it refuses. Raises MalformedError."""
    if said.get("MSGNO") != "2132":
        raise MalformedError("交易号不支持")
    if not said.get("MSGID"):
        raise MalformedError("缺少报文ID")
    person = _person(books, said)
    message = Message(
        activation_id=said["MSGID"],
        message_id=said["MSGID"],
        institution=said.get("AKB020", ""),
        channel="institution",
        identification_code=_code(person, said),
        social_security_number=said.get("AAC002") or None,
        old_card_number=said.get("AKC021") or None,
    )
    books.note(message)
    refusing = refusing_with.get()
    if refusing is not None:
        return refusing.text
    if message.identification_code in books.active_under:
        return ALREADY_ENABLED
    if books.record(message.identification_code).first_replacement is False:
        return NOT_THE_FIRST
    refusal = books.activate(message, None)
    return refusal.text if refusal else None


def _code(person: Person | None, said: dict[str, str]) -> str:
    if person is None:
        return said.get("AAZ501") or said.get("AKC020", "")
    return person.social_security.identification_code


def _person(books: Books, said: dict[str, str]) -> Person | None:
    """Whose card this is: by its identification code, or else by its number."""
    if "AAZ501" in said:
        return books.people.get(said["AAZ501"])
    number = said.get("AKC020")
    mine = (p for p in books.people.values() if p.social_security.card_number == number)
    return next(mine, None)
