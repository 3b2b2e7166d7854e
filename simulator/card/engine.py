"""The card operating system: commands in, answers out, as bytes.

What a reader would carry is what this takes, so the same engine serves a reader in this
process, the real resource manager and a serial line. Commands: SELECT, READ RECORD,
GET RESPONSE, VERIFY, CHANGE PIN, GET CHALLENGE, INTERNAL and EXTERNAL AUTHENTICATE (ISO
7816-4, 11; domain facts, 2.6 and 3).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from random import Random

from simulator.card.cryptography import cryptogram
from simulator.card.image import (
    Application,
    Behaviour,
    CardImage,
    Counters,
    Pin,
    RecordFile,
)

GET_RESPONSE = 0xC0
OK = bytes.fromhex("9000")
END_OF_FILE = bytes.fromhex("6282")
WRONG_LENGTH = bytes.fromhex("6700")
SECURITY_NOT_SATISFIED = bytes.fromhex("6982")
BLOCKED = bytes.fromhex("6983")
NO_CURRENT_EF = bytes.fromhex("6986")
FILE_NOT_FOUND = bytes.fromhex("6A82")
RECORD_NOT_FOUND = bytes.fromhex("6A83")
WRONG_P1_P2 = bytes.fromhex("6A86")
NO_CHALLENGE = bytes.fromhex("6984")
NO_REFERENCE = bytes.fromhex("6A88")
NOTHING_TO_FETCH = bytes.fromhex("6985")
UNKNOWN_INS = bytes.fromhex("6D00")
UNKNOWN_CLA = bytes.fromhex("6E00")

ROOTS = (0x3F00, 0xDDF1)  # SSSE as the master file, or as a DDF
BY_TAG, BY_NUMBER = 0x00, 0x04
CHALLENGE_LENGTHS = (4, 8, 16)
PIN_LENGTHS = range(2, 7)

Handler = Callable[[bytes], bytes]


class CardEngine:
    """One card. Its memory survives `reset`; its security state does not.

    `seed` decides the challenges, so that a run can be repeated.
    """

    def __init__(
        self, image: CardImage, behaviour: Behaviour | None = None, *, seed: int = 0
    ) -> None:
        self.atr = image.atr
        self.counters = Counters()
        self._behaviour = behaviour or Behaviour()
        self._random = Random(seed)  # noqa: S311 - a card for tests, and repeatable
        self._applications = {each.name: each for each in image.applications}
        self._master = image.applications[0]
        self._answers = {
            id(file): _record_answers(file)
            for application in image.applications
            for file in application.files.values()
        }
        self._pin = image.pin
        self._tries_left = image.pin.tries - image.pin.spent if image.pin else 0
        self._algorithm, self._keys = image.algorithm, image.keys
        self._key_tries = dict.fromkeys(image.keys, image.key_tries)
        self._handlers: dict[bytes, Handler] = {
            bytes.fromhex("00A4"): self._select,
            bytes.fromhex("00B2"): self._read_record,
            bytes.fromhex("00C0"): self._get_response,
            bytes.fromhex("0020"): self._verify,
            bytes.fromhex("805E"): self._change_pin,
            bytes.fromhex("0084"): self._get_challenge,
            bytes.fromhex("0088"): self._internal_authenticate,
            bytes.fromhex("0082"): self._external_authenticate,
        }
        self._forget()

    def _forget(self) -> None:
        self._application = self._master
        self._file: RecordFile | None = None
        self._current: dict[bytes, bytes] = {}
        self._waiting = b""
        self._verified = False
        self._shown: set[int] = set()
        self._challenges = (b"", b"")  # the last two: original, process factor

    def reset(self) -> bytes:
        """Warm or cold reset: every security state is void. Returns the ATR."""
        self.counters.resets += 1
        self._forget()
        return self.atr

    def process(self, command: bytes) -> bytes:
        """Answer one command: data and status word. Never raises, whatever comes in."""
        self.counters.commands += 1
        handler = self._handlers.get(command[:2])
        if handler is None:
            known = any(command[:1] == each[:1] for each in self._handlers)
            return UNKNOWN_INS if known else UNKNOWN_CLA
        if len(command) < 4:
            return WRONG_LENGTH
        if command[1] != GET_RESPONSE:
            self._waiting = b""  # what is not fetched at once is gone
        return handler(command)

    def _select(self, command: bytes) -> bytes:
        p1, p2 = command[2], command[3]
        target = _data(command)
        if target is None:
            return WRONG_LENGTH
        if p2 != 0 or p1 not in (0x00, 0x02, 0x04):
            return WRONG_P1_P2
        if p1 == 0x04:
            return self._enter(self._applications.get(target))
        if len(target) != 2:
            return WRONG_LENGTH
        identifier = int.from_bytes(target, "big")
        if p1 == 0x00 and identifier in ROOTS:
            return self._enter(self._master)
        file = self._application.files.get(identifier)
        if file is None:
            return FILE_NOT_FOUND
        self._file = file
        self._current = self._answers[id(file)]
        return OK

    def _enter(self, application: Application | None) -> bytes:
        if application is None:
            return FILE_NOT_FOUND
        self._application = application
        self._file = None
        self._current = {}
        fci = application.fci
        if not self._behaviour.chains:
            return fci + OK
        self._waiting = fci
        return bytes((0x61, len(fci)))

    def _get_response(self, command: bytes) -> bytes:
        if not self._waiting:
            return NOTHING_TO_FETCH
        answer = self._as_long_as_asked(command, self._waiting)
        if answer[-2:] == OK:
            self._waiting = b""
        return answer

    def _read_record(self, command: bytes) -> bytes:
        if self._file is None:
            return NO_CURRENT_EF
        if self._file.needs_pin and not self._verified:
            return SECURITY_NOT_SATISFIED
        if command[3] not in (BY_TAG, BY_NUMBER):
            return WRONG_P1_P2
        record = self._current.get(command[2:4])
        if record is None:
            return RECORD_NOT_FOUND
        key = self._file.needs_key
        protected = key is not None and record[0] not in self._file.free
        if protected and key not in self._shown:
            return SECURITY_NOT_SATISFIED
        return self._as_long_as_asked(command, record)

    def _as_long_as_asked(self, command: bytes, answer: bytes) -> bytes:
        if len(command) != 5:
            return WRONG_LENGTH
        wanted = command[4]
        if wanted == len(answer):
            return answer + OK
        if self._behaviour.corrects_length:
            return bytes((0x6C, len(answer)))
        if wanted > len(answer) and self._behaviour.warns_of_end:
            return answer + END_OF_FILE
        return answer[: wanted or 256] + OK

    def _verify(self, command: bytes) -> bytes:
        if self._pin is None:
            return NO_REFERENCE
        if len(command) == 4:
            return BLOCKED if not self._tries_left else self._tries()
        offered = _data(command)
        return WRONG_LENGTH if offered is None else self._compare(offered, self._pin)

    def _change_pin(self, command: bytes) -> bytes:
        """Old PIN, FF, new PIN. A wrong old one counts as any wrong PIN."""
        if self._pin is None:
            return NO_REFERENCE
        if command[2:4] != b"\x01\x00":
            return WRONG_P1_P2
        old, _, new = (_data(command) or b"").partition(b"\xff")
        if len(new) not in PIN_LENGTHS or b"\xff" in new:
            return WRONG_LENGTH
        answer = self._compare(old, self._pin)
        if answer == OK:
            self.counters.changes += 1
            self._pin = replace(self._pin, packed=new)
        return answer

    def _compare(self, offered: bytes, pin: Pin) -> bytes:
        self.counters.verifications += 1
        if not self._tries_left:
            return BLOCKED
        self._verified = hmac.compare_digest(offered, pin.packed)
        if self._verified:
            self._tries_left = pin.tries
            return OK
        self._tries_left -= 1
        return self._tries()

    def _tries(self) -> bytes:
        return bytes((0x63, 0xC0 | self._tries_left))

    def _get_challenge(self, command: bytes) -> bytes:
        if len(command) != 5 or command[4] not in CHALLENGE_LENGTHS:
            return WRONG_LENGTH
        challenge = self._random.randbytes(command[4])
        self._challenges = (self._challenges[1], challenge)
        return challenge + OK

    def _internal_authenticate(self, command: bytes) -> bytes:
        data = _data(command)
        if data is None or len(data) != 16:
            return WRONG_LENGTH
        key = self._keys.get(command[3])
        if key is None:
            return NO_REFERENCE
        return cryptogram(key, data[:8], data[8:], self._algorithm) + OK

    def _external_authenticate(self, command: bytes) -> bytes:
        """The original must be the first of the last two challenges, the process factor is
        the second; both are used up."""
        data, identifier = _data(command), command[3]
        original, process = self._challenges
        self._challenges = (b"", b"")
        if data is None or len(data) != 16:
            return WRONG_LENGTH
        key = self._keys.get(identifier)
        if key is None:
            return NO_REFERENCE
        if not self._key_tries[identifier]:
            return BLOCKED
        if len(original) != 8 or data[8:] != original:
            return NO_CHALLENGE
        self.counters.authentications += 1
        expected = cryptogram(key, process, original, self._algorithm)
        if hmac.compare_digest(data[:8], expected):
            self._shown.add(identifier)
            return OK
        self._key_tries[identifier] -= 1
        return bytes((0x63, 0xC0 | min(15, self._key_tries[identifier])))


def _data(command: bytes) -> bytes | None:
    """The data field of a short command with Lc (and perhaps Le); None when it disagrees."""
    if len(command) < 5:
        return None
    end = 5 + command[4]
    return command[5:end] if len(command) in (end, end + 1) else None


def _record_answers(file: RecordFile) -> dict[bytes, bytes]:
    """Every P1 P2 that names a record of this file, with the object it answers."""
    answers = {}
    for number, (tag, value) in enumerate(file.records.items(), start=1):
        record = bytes((tag, len(value))) + value
        answers[bytes((tag, BY_TAG))] = record
        answers[bytes((number, BY_NUMBER))] = record
    return answers
