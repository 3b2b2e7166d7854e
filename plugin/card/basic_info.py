"""The basic information of a social security card as terminals have always told it: the string
of `iReadCardBas` (domain facts, 5.2), so that a HIS need not learn a new form.

Eleven fields, each followed by `|`:

| 1 region (6 digits)       | 5 name                      | 9 expiry date (YYYYMMDD)          |
| 2 social security number  | 6 historical bytes (hex)    | 10 number of the terminal (12)    |
| 3 card number             | 7 specification version     | 11 number of the device           |
| 4 identification code     | 8 issue date (YYYYMMDD)     |                                   |
"""

from __future__ import annotations

from datetime import date

from plugin.card.social_security import SocialSecurityCard
from plugin.settings import Terminal

SEPARATOR = "|"
FIELDS = 11
ENCODING = "gb18030"  # GBK, and the characters that GBK lacks


def basic_info(
    card: SocialSecurityCard, historical_bytes: bytes, terminal: Terminal
) -> str:
    """The string. What the card does not say is an empty field; a separator inside a field
    would shift all that follow, so it is left out."""
    issue = card.issue
    fields = (
        issue.region,
        card.social_security_number,
        issue.card_number,
        issue.identification_code,
        card.name,
        historical_bytes.hex().upper(),
        issue.spec_version,
        _day(issue.issue_date),
        _day(issue.expiry_date),
        terminal.number,
        terminal.device,
    )
    return "".join(f"{(each or '').replace(SEPARATOR, '')}|" for each in fields)


def _day(value: date | None) -> str | None:
    return value.isoformat().replace("-", "") if value is not None else None
