"""What a centre's words come to, in whatever dialect they were said."""

from __future__ import annotations

from collections.abc import Iterable

from plugin.activation.problem import Refusal
from plugin.activation.region import ACTIVE, CentreProfile
from plugin.activation.saga import Accepted, Activation, Confirmation, Refused
from plugin.privacy import scrubbed

TEXT_MAX = 500


def masked(text: str, personal: Iterable[str]) -> str:
    """A centre's text, of bounded length, that can be written anywhere: what it says of
    the person whom the message was about (`personal`) is masked, and what is not printable
    is a space."""
    return scrubbed(_printable(text), map(_printable, personal))[:TEXT_MAX]


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


def refused(
    profile: CentreProfile, record: Activation, refusal: Refusal
) -> Accepted | Refused:
    """A "no" to the record's message. One that says "active already" is a success: another
    till's or channel's, where no earlier message of this record can have done it."""
    name = record.activation_id or ""
    if profile.meaning(refusal) != ACTIVE:
        return Refused(name, refusal, record.sends)
    first = record.sends == 1 and record.unanswered is None
    return Accepted(name, Confirmation(by="refusal", adopted=first))
