"""The dialects we speak: what each has a question for, and how it is opened. How the next one
is written: ADAPTERS.md, beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    # Imported here: a till pays for the dialect it speaks.
    from plugin.centre.reference import ReferenceCentre

    return ReferenceCentre(
        address or profile.address,
        profile.abilities,
        credential=credential,
        patience=patience,
    )
