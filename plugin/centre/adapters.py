"""The dialects we speak: what each has a question for, and how it is opened. How the next one
is written: ADAPTERS.md, beside this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from plugin.activation.region import CentreProfile, Offers
from plugin.centre.port import Centre, Patience

OFFERS: Mapping[str, Offers] = {
    "reference": Offers(
        card_status=True, match=True, authenticate=True, activation_status=True
    ),
    "enable2132": Offers(),
}


def opened(
    profile: CentreProfile,
    *,
    address: str | None = None,
    credential: str | None = None,
    patience: Patience | None = None,
) -> Centre:
    """The adapter of this profile, at its address or another one."""
    adapter = _ADAPTERS[profile.adapter]()
    there = replace(profile, address=address or profile.address)
    return adapter(there, credential=credential, patience=patience)


# Imported there: a till pays for the dialect it speaks.


def _reference() -> Callable[..., Centre]:
    from plugin.centre.reference import ReferenceCentre

    return ReferenceCentre


def _enable2132() -> Callable[..., Centre]:
    from plugin.centre.enable2132 import Enable2132Centre

    return Enable2132Centre


_ADAPTERS: Mapping[str, Callable[[], Callable[..., Centre]]] = {
    "reference": _reference,
    "enable2132": _enable2132,
}
