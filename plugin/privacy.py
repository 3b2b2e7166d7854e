"""Personal data: how it is shown, looked up, stored and kept out of everything else.

One module and one set of rules; nothing here can be turned off.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

KEY_LENGTH = 32
NONCE_LENGTH = 12
TAG_LENGTH = 16
MAC_LENGTH = 32
DIGEST_LENGTH = 16
_CIPHER_KEY_LENGTH = 16
_LONG = 15  # the digits of an old identity number
_LONG_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{15}(?:\d{2}[0-9Xx])?(?![0-9A-Za-z])")
_TWO_CHARACTER_SURNAME = re.compile(
    "欧阳|太史|上官|端木|司马|东方|独孤|南宫|夏侯|诸葛|尉迟|皇甫|公孙|慕容|宇文|"
    "长孙|司徒|司空|令狐|闻人|轩辕|澹台|公冶|宗政|濮阳|淳于|单于|申屠|钟离"
)


class SealBrokenError(Exception):
    """Stored data were changed, or belong to another key."""


class Keys(Struct, frozen=True):
    """What one till keeps its journal with, all made from one secret of 32 bytes."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_LENGTH:
            raise ValueError("the journal key has 32 bytes")

    def __repr__(self) -> str:
        return "Keys()"

    @classmethod
    def new(cls) -> Keys:
        """A fresh secret from the operating system."""
        return cls(secrets.token_bytes(KEY_LENGTH))

    def digest(self, label: str, value: str) -> str:
        """A keyed hash for looking up a personal value: 32 hex characters (HMAC-SM3, its
        first half)."""
        key = self._derived(f"look-up {label}")
        return hmac.digest(key, value.encode(), "sm3")[:DIGEST_LENGTH].hex()

    def mac(self, content: bytes) -> bytes:
        """32 bytes that show whether `content` was changed (HMAC-SM3)."""
        return hmac.digest(self._derived("row"), content, "sm3")

    def seal(self, clear: bytes, context: bytes) -> bytes:
        """Encrypt for storage: nonce (12), tag (16), ciphertext (SM4-GCM).

        `context` is not stored; the same must be given to `open`.
        """
        nonce = secrets.token_bytes(NONCE_LENGTH)
        encryptor = self._cipher(nonce).encryptor()
        encryptor.authenticate_additional_data(context)
        sealed = encryptor.update(clear) + encryptor.finalize()
        return nonce + encryptor.tag + sealed

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Undo `seal`. Raises SealBrokenError."""
        from cryptography.exceptions import InvalidTag

        head = NONCE_LENGTH + TAG_LENGTH
        if len(sealed) < head:
            raise SealBrokenError("too short to have been sealed")
        nonce, tag = sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:head]
        decryptor = self._cipher(nonce, tag).decryptor()
        decryptor.authenticate_additional_data(context)
        try:
            return decryptor.update(sealed[head:]) + decryptor.finalize()
        except InvalidTag as broken:
            raise SealBrokenError("the seal is broken") from broken

    def _cipher(self, nonce: bytes, tag: bytes | None = None) -> Cipher[modes.GCM]:
        # Imported here: 8 MiB that a till pays for with its first activation, not at start.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        key = self._derived("seal")[:_CIPHER_KEY_LENGTH]
        return Cipher(algorithms.SM4(key), modes.GCM(nonce, tag))

    def _derived(self, purpose: str) -> bytes:
        return _derive(self.secret, purpose)


@lru_cache(maxsize=16)
def _derive(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose only."""
    return hmac.digest(secret, f"kaqi {purpose}".encode(), "sm3")


def sm3(content: bytes) -> str:
    """The SM3 digest as 64 hex characters (GB/T 32905)."""
    return hashlib.new("sm3", content).hexdigest()


def masked_number(number: str | None) -> str | None:
    """An identity number for the operator's eye: six in front, four behind."""
    if number is None or len(number) < 15:
        return masked_tail(number)
    return number[:6] + "*" * (len(number) - 10) + number[-4:]


def masked_name(name: str | None) -> str | None:
    """The surname and stars: 张*, 欧阳**."""
    if not name:
        return None
    known = 2 if len(name) > 2 and _TWO_CHARACTER_SURNAME.match(name) else 1
    return name[:known] + "*" * max(1, len(name) - known)


def masked_tail(value: str | None) -> str | None:
    """The last four characters behind stars."""
    if value is None:
        return None
    return "*" * max(4, len(value) - 4) + value[-4:] if len(value) > 4 else "****"


def scrubbed(text: str, personal: Iterable[str | None] = ()) -> str:
    """Somebody else's sentence without identity numbers and without these values."""
    for value in personal:
        if value:
            text = text.replace(value, "*" * len(value))
    if len(text) < _LONG:
        return text
    return _LONG_NUMBER.sub(lambda found: masked_number(found[0]) or "", text)


def masked_day(day: str | None) -> str | None:
    """Of a date YYYY-MM-DD only the year."""
    return f"{day[:4]}-**-**" if day else None
