"""The algorithms of cards and security modules, with keys that are invented (domain facts,
3.2).

| step                      | 3DES                            | SM4                       |
|---------------------------|---------------------------------|---------------------------|
| one level of derivation   | 3DES(K, X) then 3DES(K, not X)  | SM4(K, X then not X)      |
| session key               | 3DES(K, process)                | SM4(K, block of process)  |
| cryptogram (left 8 bytes) | DES(session, original)          | SM4(session, block of it) |

How eight bytes become a block for SM4 is not published: here they are followed by their
complement. Everything is ECB of single blocks, as cards compute.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

CRYPTOGRAM_LENGTH = 8
IRK_MASTER = bytes.fromhex("4B415149205445535420495246204B31")  # "KAQI TEST IRF K1"
READ_MASTER = bytes.fromhex("4B415149205445535420524B4559204B")  # "KAQI TEST RKEY K"


class Algorithm(Enum):
    """By the code in a card's FCI."""

    DES3 = 0x01
    SM4 = 0x03

    @property
    def block(self) -> int:
        """Bytes of one block."""
        return 8 if self is Algorithm.DES3 else 16


def derived(master: bytes, factors: Iterable[bytes], algorithm: Algorithm) -> bytes:
    """The key (16 bytes) after so many levels; each factor has 8 bytes."""
    key = master
    for factor in factors:
        both = factor + _complement(factor)
        if algorithm is Algorithm.DES3:
            key = _des(key, both[:8]) + _des(key, both[8:])
        else:
            key = _sm4(key, both)
    return key


def cryptogram(
    key: bytes, process: bytes, original: bytes, algorithm: Algorithm
) -> bytes:
    """What a key makes of two randoms of 8 bytes (SM4: or of whole blocks)."""
    session = encrypted(key, process, algorithm)
    return encrypted(session, original, algorithm)[:CRYPTOGRAM_LENGTH]


def encrypted(key: bytes, value: bytes, algorithm: Algorithm) -> bytes:
    """One block."""
    if algorithm is Algorithm.DES3:
        return _des(key, value)
    return _sm4(key, value if len(value) == 16 else value + _complement(value))


def _des(key: bytes, block: bytes) -> bytes:
    """3DES with a key of 16 bytes, DES with one of 8."""
    whole = key * 3 if len(key) == 8 else key + key[:8]
    return _ecb(Cipher(TripleDES(whole), modes.ECB()), block)  # noqa: S305 - as cards do


def _sm4(key: bytes, block: bytes) -> bytes:
    return _ecb(Cipher(SM4(key), modes.ECB()), block)  # noqa: S305 - as cards do


def _ecb(cipher: Cipher[modes.ECB], block: bytes) -> bytes:
    encryptor = cipher.encryptor()
    return encryptor.update(block) + encryptor.finalize()


def _complement(value: bytes) -> bytes:
    return bytes(0xFF ^ byte for byte in value)
