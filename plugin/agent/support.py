"""What may leave the till for support, safe by construction: of a log line the fields that
are listed here, as far as they look as they must; of an activation its state. What could name
a person, a sale or a card is left out, or is a keyed hash that only this till can make
(reliability, 2.5)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from plugin.activation import saga
from plugin.agent.doctor import Finding

TAIL_BYTES = 512 * 1024
HASHED = "support"  # what the keyed hashes are for

Hashing = Callable[[str], str]

_WORD = re.compile(r"[a-z][a-z_]{0,31}(\.[a-z_]{1,31}){0,3}")
_NUMBER = re.compile(r"[0-9]{1,5}")
_KIND = re.compile("(transactions|activations|readers|clients)/")  # of a subject
_YES_OR_NO = re.compile(r"True|False")
# A field of a log line, and what its value must look like as text. Nobody's number fits.
_FIELDS: Mapping[str, re.Pattern[str]] = {
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?([+-]\d\d:\d\d|Z)?"),
    "level": re.compile("debug|info|warning|error|critical"),
    "logger": re.compile(r"[a-z]{1,16}(\.[a-z_]{1,16}){0,3}"),
    "event": re.compile(r"[a-z][a-z ,:._']{1,79}"),
    "at": re.compile(r"\w{1,40}\.py:\d{1,5}", re.ASCII),
    "code": _WORD,
    "dropped": _NUMBER,
    "error": re.compile(r"[A-Z][A-Za-z]{1,47}"),
    "forgotten": _NUMBER,
    "header": re.compile(r"[0-9A-F]{2}([0-9A-F]{6})?"),
    "lost": _NUMBER,
    "method": re.compile("[A-Z]{3,7}"),
    "ms": _NUMBER,
    "outcome": _WORD,
    "question": _WORD,
    "reader": re.compile(r"r-[0-9a-f]{12}"),
    "received": _NUMBER,
    "removed": _NUMBER,
    "requests": _NUMBER,
    "role": _WORD,
    "route": re.compile(r"/[a-z0-9/_{}.-]{0,79}"),
    "sends": _NUMBER,
    "sent": _NUMBER,
    "seq": _NUMBER,
    "state": re.compile(r"[A-Za-z_]{1,32}"),
    "status": _NUMBER,
    "sw": re.compile(r"[0-9A-F]{4}"),
    "test_data": _YES_OR_NO,
    "times": _NUMBER,
    "trace_id": re.compile(r"(?=.*[a-f])[0-9a-f]{16}([0-9a-f]{16})?"),
    "transport": re.compile("[a-z]{1,16}"),
    "unfinished": _NUMBER,
}
# Findings whose detail holds no path and nobody's words.
_DETAILED = frozenset(
    {"backup", "centre", "disk", "port", "program", "psam", "reader", "sqlite"}
)
_AS_HASHES = ("client", "intent", "message_id", "subject", "transaction")
_SHORT_CODE = re.compile(r"[0-9A-Za-z]{1,8}")


def log_lines(raw: bytes, hashed: Hashing) -> Iterator[dict[str, object]]:
    """What may leave of a log; a line that is none leaves nothing."""
    for line in raw.splitlines():
        with suppress(ValueError, RecursionError):
            said = json.loads(line)
            if isinstance(said, dict):
                yield _allowed(said, hashed)


def _allowed(said: Mapping[str, object], hashed: Hashing) -> dict[str, object]:
    """The fields that are listed and look as they must; `left_out` counts the others."""
    kept: dict[str, object] = {}
    ours = str(said.get("logger")).startswith("kaqi.")
    for name, value in said.items():
        pattern = _FIELDS.get(name) if ours or name != "event" else None
        if name in _AS_HASHES and isinstance(value, str):
            kind = _KIND.match(value)
            known = kind[0] if kind else ""
            kept[name] = known + hashed(value.removeprefix(known))
        elif pattern and pattern.fullmatch(str(value)):
            kept[name] = value
    if left_out := len(said) - len(kept):
        kept["left_out"] = left_out
    return kept


def tail(files: Iterable[Path]) -> bytes:
    """The end of a log in these files, the older first, without the line it begins in.
    Never raises."""
    content = b""
    for path in files:
        with suppress(OSError), path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            content += file.read(TAIL_BYTES)
    cut = content[-TAIL_BYTES:]
    return cut if len(cut) == len(content) else cut.partition(b"\n")[2]


def finding(found: Finding) -> dict[str, object]:
    """What was found, without the facts of its problem."""
    return {
        "name": found.name,
        "ok": found.ok,
        "required": found.required,
        "detail": found.detail if found.name in _DETAILED else "",
        "problem": found.problem.code if found.problem else None,
    }


def activation(record: saga.Activation, hashed: Hashing) -> dict[str, object]:
    """How far it has come, and nothing of whose it is."""
    origin, refusal = record.origin, record.refusal
    told = refusal.code if refusal and _SHORT_CODE.fullmatch(refusal.code) else None
    return {
        "id": hashed(origin.intent_id),
        "transaction": hashed(origin.transaction_id),
        "pos_ref": hashed(origin.pos_ref) if origin.pos_ref else None,
        "state": record.state.value,
        "needs_a_person": saga.needs_a_person(record),
        "attempt": record.attempt,
        "sends": record.sends,
        "scenario": origin.scenario,
        "profile": origin.profile,
        "problem": record.problem.code if record.problem else None,
        "refusal": told,
        "received_at": origin.received_at,
        "changed_at": record.changed_at,
        "test_data": origin.test_data,
    }


READ_ME = """\
卡启支持包：供技术支持查看，不含姓名、证件号、卡号、密码、令牌、密钥和日志库内容。
交易编号、启用编号和 POS 单号都换成了只有本机能算出的散列值。

A support bundle of kaqi. It names nobody: no names, identity or card numbers, PINs, tokens
or keys, and nothing of the journal's content. Transactions, activations and the POS's own
numbers are hashes that only this till can make.
"""


def packed(files: Mapping[str, object]) -> bytes:
    """A zip: text and bytes as they are, lists of lines as JSON lines, the rest as JSON."""
    import zipfile  # a till that needs no support does not pay for it

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, held in {"README.txt": READ_ME, **files}.items():
            bundle.writestr(name, _written(name, held))
    return content.getvalue()


def _written(name: str, held: object) -> bytes | str:
    match held:
        case bytes() | str():
            return held
        case Iterable() if name.endswith(".jsonl"):
            return "".join(f"{json.dumps(line)}\n" for line in held)
        case _:
            return json.dumps(held, ensure_ascii=False, indent=2)
