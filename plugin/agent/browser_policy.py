"""Whether browsers let the listed web pages reach this computer without asking: their Local
Network Access, and the policies that exempt a page from it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from plugin.activation.problem import Problem
from plugin.agent.doctor import Finding

ALLOWED = "LoopbackNetworkAllowedForUrls"
SECURE = "OverrideSecurityRestrictionsOnInsecureOrigin"
# The first whose list has the page decides.
PRECEDENCE = {
    "LoopbackNetworkBlockedForUrls": False,
    ALLOWED: True,
    "LocalNetworkAccessBlockedForUrls": False,
    "LocalNetworkAccessAllowedForUrls": True,
}
POLICIES = (*PRECEDENCE, SECURE)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS = {"https": 443, "http": 80}
_PATTERN = re.compile(
    r"(?:(\*|https?)://)?(\*|\[\*\.\][^][*:/]+|\[[0-9a-f:]+\]|[^][*:/]+)(?::(\*|\d+))?(?:/.*)?"
)


class Installed(Struct, frozen=True, kw_only=True):
    """What one browser was told on this computer: lists of patterns by policy, and the
    place where that is written (a folder of JSON files, or a key of the registry)."""

    browser: str
    place: str
    lists: Mapping[str, tuple[str, ...]]


def finding(
    origins: Collection[str], installed: Collection[Installed]
) -> Finding | None:
    """Which browsers let all of these pages through; wrong when none does. None where no
    page needs it."""
    pages = sorted(each for each in origins if not _is_local(each))
    if not pages:
        return None
    letting = [
        each for each in installed if all(lets(each.lists, page) for page in pages)
    ]
    if letting:
        detail = ", ".join(each.browser for each in letting)
        return Finding(name="browser_policy", required=False, detail=detail)
    facts = {
        "origins": ", ".join(pages),
        "place": " | ".join(each.place for each in installed),
        "value": wanted(pages),
    }
    problem = Problem("browser.policy_missing", facts)
    return Finding(name="browser_policy", required=False, problem=problem)


def wanted(pages: Collection[str]) -> str:
    """What an administrator writes for these pages, as JSON."""
    insecure = [page for page in pages if urlsplit(page).scheme == "http"]
    lists = {ALLOWED: list(pages)} | ({SECURE: insecure} if insecure else {})
    return json.dumps(lists)


def lets(lists: Mapping[str, Collection[str]], origin: str) -> bool:
    """Whether a browser with these policies lets the page through. One at http:// must be
    taken for secure besides."""
    for name, allowed in PRECEDENCE.items():
        if any(_covers(pattern, origin) for pattern in lists.get(name, ())):
            taken = any(_secures(entry, origin) for entry in lists.get(SECURE, ()))
            return allowed and (origin.startswith("https:") or taken)
    return False


def _covers(pattern: str, origin: str) -> bool:
    """Chromium's patterns for URLs, as its version 156 takes them; of what stands in them,
    what is left out means any, and paths mean nothing."""
    found = _PATTERN.fullmatch(pattern.lower())
    if found is None:
        return False
    page = urlsplit(origin)
    scheme, host, port = found.groups()
    return (
        scheme in (None, "*", page.scheme)
        and _is_host(host, page)
        and port in (None, "*", str(page.port or _PORTS[page.scheme]))
    )


def _is_host(host: str, page: SplitResult) -> bool:
    name = page.hostname or ""
    if host.startswith("[*.]"):
        domain = host.removeprefix("[*.]")
        return name == domain or name.endswith(f".{domain}")
    return host == "*" or host.strip("[]") == name


def _secures(entry: str, origin: str) -> bool:
    """Whole origins, or `*.domain`, which is not the domain itself."""
    name = urlsplit(origin).hostname or ""
    return entry.rstrip("/") == origin or (
        entry.startswith("*.") and name.endswith(entry[1:])
    )


def _is_local(origin: str) -> bool:
    """Pages that came from this computer may reach it anyway."""
    return urlsplit(origin).hostname in _LOOPBACK
