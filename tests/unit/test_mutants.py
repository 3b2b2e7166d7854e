"""The mutation run: which changes it makes, draws and lets pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import survivors
from tests.mutants.__main__ import drawn, told
from tests.mutants.mutant import Mutant, mutants
from tests.mutants.place import with_plain_properties

SOURCE = '''
class Card:
    """A card."""

    tries = 3

    @property
    def is_last(self) -> bool:
        """Whether a wrong PIN blocks it."""
        return self.tries == 1


def first(text: str) -> str:
    return text[0]
'''
PATH = Path("plugin/card/small.py")


def named(number: int, change: str = "a -> b", function: str = "f") -> Mutant:
    return Mutant(f"m.x_f__mutmut_{number}", "plugin/card/m.py", function, change)


def test_a_property_is_changed_like_any_other_method() -> None:
    space: dict[str, type] = {}
    plain = with_plain_properties(SOURCE)

    exec(plain, space)  # noqa: S102 - it is written above
    changes = {each.function: each.change for each in mutants(PATH, plain)}

    assert isinstance(space["Card"].__dict__["is_last"], property)
    assert "@property" not in plain
    assert plain.splitlines().index("def first(text: str) -> str:") == (
        SOURCE.splitlines().index("def first(text: str) -> str:") + 1
    )
    assert changes["Card.is_last"] == "return self.tries == 1 -> return self.tries == 2"


def test_a_mutant_is_named_as_mutmut_does_and_said_in_statements() -> None:
    [found] = [each for each in mutants(PATH, SOURCE) if each.function == "first"]

    assert found == Mutant(
        "plugin.card.small.x_first__mutmut_1",
        str(PATH),
        "first",
        "return text[0] -> return text[1]",
    )
    assert found.package == "plugin/card"


def test_a_long_statement_is_shown_where_it_changes() -> None:
    long = ", ".join(f"name_{number}" for number in range(40))
    source = f"def f() -> object:\n    return ({long}, 1, {long})\n"

    [change] = [each.change for each in mutants(PATH, source)]

    gone, _, come = change.partition(" -> ")
    assert gone.startswith("...")
    assert gone.endswith("...")
    assert come == gone.replace(" 1,", " 2,")
    assert len(gone) < 60


@pytest.mark.parametrize(
    ("change", "function", "wording"),
    [
        ("raise ValueError('no') -> raise ValueError(None)", "f", True),
        ("raise ValueError('no') -> raise ValueError('XXnoXX')", "f", True),
        ("raise refusal(sw, 'no') -> raise refusal(None, 'no')", "f", False),
        ("run('DELETE FROM a') -> run('delete from a')", "f", True),
        ("run('DELETE FROM a') -> run('XXDELETE FROM aXX')", "f", False),
        ("return 'card.lost' -> return 'CARD.LOST'", "f", False),
        ("return 'Pin()' -> return 'PIN()'", "Pin.__repr__", True),
    ],
)
def test_only_words_that_nobody_decides_by_are_left_alone(
    change: str, function: str, *, wording: bool
) -> None:
    assert named(1, change, function).is_wording is wording


def test_a_sample_is_even_and_the_same_for_the_same_seed() -> None:
    every = [named(number) for number in range(1_000)]

    sample = drawn(every, 100, seed=1)

    stretches = [every.index(each) // 10 for each in sample]
    assert stretches == list(range(100))
    assert sample == drawn(every, 100, seed=1)
    assert sample != drawn(every, 100, seed=2)
    assert drawn(every, 0, seed=1) == drawn(every, 2_000, seed=1) == every


@pytest.mark.parametrize(("killed", "passes"), [(9, True), (8, False)])
def test_nine_of_ten_must_be_noticed(killed: int, *, passes: bool) -> None:
    chosen = [named(number) for number in range(10)]
    verdict = {
        each.name: "killed" if at < killed else "survived"
        for at, each in enumerate(chosen)
    }

    assert told(chosen, verdict, {}) is passes


@pytest.mark.parametrize(
    ("kind", "passes"), [("equivalent", True), ("elsewhere", False)]
)
def test_only_what_nobody_could_see_is_not_asked_for(
    kind: str, capsys: pytest.CaptureFixture[str], *, passes: bool
) -> None:
    chosen = [named(0), named(1, "c -> d")]
    table = {
        (each.file, each.function, each.change): each
        for each in [
            survivors.Survivor(
                "plugin/card/m.py", "f", "c -> d", survivors.Kind(kind), "because"
            )
        ]
    }

    assert told(chosen, {chosen[0].name: "timeout"}, table) is passes
    assert "nobody has explained" not in capsys.readouterr().out


def test_every_explained_survivor_has_its_reason() -> None:
    assert all(len(each.reason) > 5 for each in survivors.read().values())


@pytest.mark.parametrize("line", ["a\tb\tc\tequivalent\t", "a\tb\tc", ""])
def test_a_survivor_without_a_reason_is_refused(tmp_path: Path, line: str) -> None:
    table = tmp_path / "survivors.tsv"
    table.write_text(f"head\n{line}\n", encoding="utf-8")

    with pytest.raises(ValueError, match="reason"):
        survivors.read(table)
