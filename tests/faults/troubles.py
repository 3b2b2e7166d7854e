"""What lies between a till and its centre, going wrong: each trouble is an adapter that meets
it with every message and every question until it is over."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from plugin.centre.port import Patience
from tests.centre import CentreProcess
from tests.contract.liar import Liar, http

IMPATIENT = Patience(connect=1, read=0.2, total=0.4)
NOBODY = "http://kaqi.invalid:1"
YEAR = timedelta(days=365)
Address = Callable[[CentreProcess, Path], AbstractContextManager[str]]


def misbehaving(fault: str, seconds: float = 1.0) -> Address:
    """The centre itself, or what is in front of it."""

    @contextmanager
    def begin(centre: CentreProcess, _: Path) -> Iterator[str]:
        centre.misbehave(fault, seconds=seconds)
        yield centre.address
        centre.behave()
        centre.let_go()

    return begin


def answering(status: str, *, retry_after: int = 0, body: bytes = b"") -> Address:
    """Somebody who says the same to everybody; `retry_after` is in seconds."""

    @contextmanager
    def begin(_: CentreProcess, __: Path) -> Iterator[str]:
        extra = f"Retry-After: {retry_after}\r\n" if retry_after else ""
        with Liar(http(body, status, extra)) as liar:
            yield liar.address

    return begin


@contextmanager
def refusing(_: CentreProcess, __: Path) -> Iterator[str]:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    yield address


@contextmanager
def nameless(_: CentreProcess, __: Path) -> Iterator[str]:
    """A name that nobody has."""
    yield NOBODY


@contextmanager
def dripping(_: CentreProcess, __: Path) -> Iterator[str]:
    """An answer of which every byte takes its time."""
    with Liar(http(b" " * 1_000), pause=0.1) as liar:
        yield liar.address


class Certified(Liar):
    """One with a certificate."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(http(b""))
        self._context = context
        self.address = self.address.replace("http:", "https:")

    def _say(self, connection: socket.socket) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                super()._say(secured)
        except OSError:
            return


def certified(host: str = "127.0.0.1", *, expired: bool = False) -> Address:
    """A centre whose certificate is by somebody whom the system trusts, for this host."""

    @contextmanager
    def begin(_: CentreProcess, folder: Path) -> Iterator[str]:
        file = _certificate(folder, host, expired=expired)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        with pytest.MonkeyPatch.context() as trusting, Certified(context) as liar:
            trusting.setenv("SSL_CERT_FILE", str(file))
            yield liar.address

    return begin


def _certificate(folder: Path, host: str, *, expired: bool) -> Path:
    """Key and certificate in one file; it vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a centre")])
    now = datetime.now(UTC)  # noqa: TID251 - a certificate is made for the real world
    ends = now - timedelta(days=1) if expired else now + YEAR
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - YEAR)
        .not_valid_after(ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}-{expired}.pem"
    encoding = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(
            encoding,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(encoding)
    )
    return file


TROUBLES: dict[str, Address] = {
    "F53": refusing,
    "F54": nameless,
    "F55 expired": certified(expired=True),
    "F55 wrong host": certified("127.0.0.2"),
    "F56": misbehaving("lose_request"),
    "F57": misbehaving("lose_answer"),
    "F58": misbehaving("slow", seconds=0.6),
    "F59": misbehaving("duplicate"),
    "F60": misbehaving("late", seconds=86_400),
    "F61": misbehaving("silence", seconds=60),
    "F62": dripping,
    "F63": misbehaving("oversized"),
    "F64": misbehaving("truncate"),
    "F65": misbehaving("wrong_echo"),
    "F67": answering("200 OK", body=b'{"code": "9", "text": "busy"}'),
    "F68": misbehaving("error_after_effect"),
    "F69": answering("429 Too Many Requests", retry_after=30),
    "F70": misbehaving("nonsense"),
    "F71": misbehaving("stale"),
    "F72": answering("503 Service Unavailable", retry_after=600),
}
