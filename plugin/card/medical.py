"""Old medical insurance cards, as far as they can be read (domain facts, 6).

Nobody publishes how a city laid out its old cards: which card is one, and where its number
lies, comes from the region profile as a layout.
"""

from __future__ import annotations

from msgspec import Struct

from drivers.conversation import Procedure
from plugin.card import decoding, files
from plugin.card.files import Access
from plugin.card.social_security import Issue


class CpuLayout(Struct, frozen=True, kw_only=True):
    """A CPU-type old card with the files of LB002 (SSSE, EF05, EF06).

    It is recognised by the first character of its specification version and by its card
    class; an empty tuple means that any will do.
    """

    spec_versions: tuple[str, ...] = ()
    card_classes: tuple[str, ...] = ()

    def recognises(self, issue: Issue) -> bool:
        """Whether a card with this EF05 is such a card."""
        version_fits = (
            not self.spec_versions or issue.spec_version[0] in self.spec_versions
        )
        class_fits = not self.card_classes or issue.card_class in self.card_classes
        return version_fits and class_fits


class MedicalCard(Struct, frozen=True, kw_only=True):
    """What an old card says. `number` is the medical insurance card number; the social
    security number is None where this kind of card does not carry it. Prints neither."""

    kind: str
    number: str | None
    social_security_number: str | None
    name: str | None
    issue: Issue | None = None

    def __repr__(self) -> str:
        return f"<MedicalCard {self.kind}>"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Codes of what is odd on this card without stopping anybody."""
        return self.issue.warnings if self.issue else ()


def read_cpu_card(issue: Issue, access: Access) -> Procedure[MedicalCard]:
    """The rest of a CPU-type old card whose EF05 is known: 3 commands."""
    yield from files.select_file(files.EF_HOLDER, access)
    number = yield from files.read_field(files.SOCIAL_SECURITY_NUMBER, access)
    name = yield from files.read_field(files.NAME, access)
    return MedicalCard(
        kind="cpu",
        number=issue.card_number,
        social_security_number=decoding.characters(number),
        name=decoding.name(name),
        issue=issue,
    )
