"""What a mutant is called and what it changes, in words that outlive its number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents

CLASS_MARK = "ǁ"  # what mutmut puts around the name of a class
NUMBER_MARK = "__mutmut_"
WHOLE, AROUND = 120, 24  # characters: a change shown whole, and what is kept around one
# Words that only whoever mends the program reads.
_ERROR_WORDS = re.compile(r"raise \w+\(f?['\"][^|]* -> raise \w+\(")
_SQL = re.compile(
    r"\b(select|insert|delete|update|where|order by|pragma)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Mutant:
    """One change. `name` is mutmut's; `change` are the statements before and after."""

    name: str
    file: str
    function: str
    change: str

    @property
    def is_wording(self) -> bool:
        """Whether it changes only how something is said, to nobody who decides by it: the
        words of an error without a code, a text for the debugger, the letters of SQL."""
        gone, _, come = self.change.partition(" -> ")
        spelt = _SQL.search(gone) is not None and gone.lower() == come.lower()
        shown = self.function.endswith("__repr__")
        return spelt or shown or _ERROR_WORDS.match(self.change) is not None

    @property
    def package(self) -> str:
        """The folder it lives in."""
        return str(Path(self.file).parent)


def mutants(path: Path, source: str) -> Iterator[Mutant]:
    """Every mutant of one module, in the order of its lines."""
    mutated = mutate_file_contents(str(path), source)
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(mutated.code))
        if isinstance(node, ast.FunctionDef)
    }
    module = ".".join(path.with_suffix("").parts)
    for name in mutated.mutant_names:
        whole, _, _ = name.partition(NUMBER_MARK)
        before, after = functions[f"{whole}{NUMBER_MARK}orig"], functions[name]
        yield Mutant(
            name=f"{module}.{name}",
            file=str(path),
            function=_readable(whole),
            change=_change(_lines(before), _lines(after)),
        )


def _readable(mangled: str) -> str:
    """`x_name` or `xǁClassǁname`, as a person writes it."""
    if CLASS_MARK in mangled:
        return mangled.removeprefix(f"x{CLASS_MARK}").replace(CLASS_MARK, ".")
    return mangled.removeprefix("x_")


def _lines(function: ast.FunctionDef) -> list[str]:
    """A function without its name, one statement a line, as Python itself writes it."""
    plain = ast.FunctionDef(
        name="_",
        args=function.args,
        body=function.body,
        decorator_list=[],
        returns=None,
        lineno=0,
    )
    return [line.strip() for line in ast.unparse(plain).splitlines()]


def _change(before: list[str], after: list[str]) -> str:
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    changes = [each for each in matcher.get_opcodes() if each[0] != "equal"]
    gone = " | ".join(line for _, a, b, _, _ in changes for line in before[a:b])
    come = " | ".join(line for _, _, _, a, b in changes for line in after[a:b])
    if max(len(gone), len(come)) > WHOLE:
        gone, come = _narrowed(gone, come)
    return f"{gone} -> {come}"


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _narrowed(gone: str, come: str) -> tuple[str, str]:
    """Where two long statements differ, with a little of what is around it."""
    begin = _alike(gone, come)
    shorter = min(len(gone), len(come)) - begin
    end = min(_alike(gone[::-1], come[::-1]), shorter)
    first = max(0, begin - AROUND)
    before, behind = "..." * (first > 0), "..." * (end > AROUND)
    narrow = [each[first : len(each) - end + AROUND] for each in (gone, come)]
    return f"{before}{narrow[0]}{behind}", f"{before}{narrow[1]}{behind}"
