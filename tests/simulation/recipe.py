"""What one seed makes of a world, and what is left out of it when its story is shortened."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from plugin.activation.saga import Abilities, Dedupe

SECOND = 1_000
MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND
HEALED_AT = 5 * MINUTE
LIFE = 60 * SECOND
CLASSES = {
    "A": Abilities(dedupe=Dedupe.ID, can_tell_status=True, message_life_ms=LIFE),
    "B": Abilities(dedupe=Dedupe.CARD, can_tell_status=True, message_life_ms=LIFE),
    "C": Abilities(dedupe=Dedupe.DUPLICATE_CODE, message_life_ms=LIFE),
    "D": Abilities(),
}


class Fault(StrEnum):
    """What can go wrong."""

    LOST = "lost"
    TWICE = "twice"
    SLOW = "slow"
    CRASH = "crash"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    JOURNAL = "journal"
    WRITTEN = "written"  # the journal says that it failed, and has written
    ERRAND = "errand"  # the agent cannot even begin to send
    TORN = "torn"
    OUTAGE = "outage"
    STALE = "stale"  # another site answers, which lags behind


@dataclass(frozen=True)
class Recipe:
    """One seed, without some kinds of faults, some faults by their number, and some
    people by theirs."""

    seed: int
    calm: frozenset[Fault] = field(default_factory=frozenset)
    dropped: frozenset[int] = field(default_factory=frozenset)
    absent: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Mix:
    """The swarm setting of one seed: each run draws its own, so that rare combinations are
    not drowned by common ones. Spans of time are (from, until)."""

    letter: str
    lenient: bool  # the centre knows messages by their ids, and no cards
    by_pin: bool
    chances: dict[Fault, float]
    slowest: float
    outage: tuple[float, float]
    stale: tuple[float, float]
    healed_at: float
    tills: int
    cards: int
    people: int
    spread: float

    @classmethod
    def drawn(cls, random: Random) -> Mix:
        """One mix; every fault is absent in some runs."""

        def chance(most: float) -> float:
            return random.choice((0.0, random.uniform(0, most)))

        def span(longest: float) -> tuple[float, float]:
            begin = random.uniform(0, HEALED_AT)
            return begin, min(HEALED_AT, begin + random.uniform(0, longest))

        outage, stale = span(4 * MINUTE), span(4 * MINUTE)
        healed_at: float = HEALED_AT
        long = random.random() < 0.004
        if long:
            outage = random.uniform(0, MINUTE), random.uniform(1, 3) * HOUR
            healed_at = outage[1]
        letter = random.choice("AAAABBCCD")
        return cls(
            letter=letter,
            lenient=letter == "A" and int(outage[0]) % 2 == 0,  # no draw of its own
            by_pin=not long and random.random() < 0.15,
            chances={
                Fault.LOST: chance(0.6),
                Fault.TWICE: chance(0.4),
                Fault.CRASH: chance(0.3),
                Fault.REFUSED: chance(0.5),
                Fault.CANCELLED: chance(0.3),
                Fault.JOURNAL: chance(0.3),
                Fault.WRITTEN: (0.0, 0.2, 0.0)[int(stale[0]) % 3],  # no draw either
                Fault.ERRAND: chance(0.2),
                Fault.TORN: chance(0.6),
                Fault.OUTAGE: 1.0 if long else random.choice((0.0, 0.0, 1.0)),
                Fault.STALE: random.choice((0.0, 1.0)),
                Fault.SLOW: 1.0,
            },
            slowest=random.choice((0.2, 5.0, 30.0, 90.0)) * SECOND,
            outage=outage,
            stale=stale,
            healed_at=healed_at,
            tills=random.randint(1, 3),
            cards=random.randint(1, 3),
            people=random.randint(2, 6),
            spread=random.choice((20.0, 200.0, 200.0)) * SECOND,
        )
