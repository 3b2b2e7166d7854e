"""The fuzzer: what it kept still holds, and it notices what it is there to notice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import culprits
from tests.fuzz.keeping import keep, steps
from tests.fuzz.run import CORPUS, Fuzzed, fuzz
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS
from tests.fuzz.watch import watched

KEPT_MAX_BYTES = 100_000
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="atheris is for Linux")


@pytest.mark.parametrize("name", TARGETS)
def test_every_promise_holds_for_all_that_was_kept(name: str) -> None:
    inputs = sorted((CORPUS / name).iterdir())

    for path in inputs:
        watched(TARGETS[name])(path.read_bytes())

    assert inputs


def test_targets_seeds_and_corpora_have_the_same_names_and_the_corpora_stay_small() -> (
    None
):
    sizes = [path.stat().st_size for path in CORPUS.glob("*/*")]

    assert TARGETS.keys() == SEEDS.keys() == {path.name for path in CORPUS.iterdir()}
    assert sum(sizes) < KEPT_MAX_BYTES


def fuzzed(culprit: Callable[[bytes], None], work: Path) -> Fuzzed:
    entry = f"{culprit.__module__}:{culprit.__name__}"
    return fuzz(entry, 1, work=work, seeds=[b"", b"!"])


@only_linux
def test_what_breaks_a_promise_is_noticed_and_what_does_not_is_measured(
    tmp_path: Path,
) -> None:
    culprit_says = {
        culprits.raises: "KeyError",
        culprits.hangs: "timeout",
        culprits.dawdles: "ms for 1 bytes",
        culprits.devours: "MiB for 1 bytes",
        culprits.hoards: "memory",
        culprits.behaves: "ok",
    }
    folders = [tmp_path / culprit.__name__ for culprit in culprit_says]
    for folder in folders:
        folder.mkdir()

    with ThreadPoolExecutor(max_workers=2) as two:
        done = list(two.map(fuzzed, culprit_says, folders))

    for each, says in zip(done, culprit_says.values(), strict=True):
        assert says in str(each), each.said
    assert [each.found for each in done[:4]] == [b"!"] * 4
    assert done[-1].last.executions > 100
    assert done[-1].last.peak_mib > 10


def test_only_what_reaches_something_new_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.keeping.CORPUS", tmp_path / "corpus")
    work = tmp_path / "work"
    work.mkdir()
    for number, raw in enumerate((b"\x03\x01A", b"\x03\x02AB", b"\x03", b"\x03\x09")):
        (work / f"{number}").write_bytes(raw)

    keep("record", TARGETS["record"], work)

    kept = {path.read_bytes() for path in (tmp_path / "corpus" / "record").iterdir()}
    assert kept == {b"\x03", b"\x03\x09", b"\x03\x01A"}
    assert steps(TARGETS["record"], b"\x03\x01A")


def test_an_input_is_replayed_from_a_file_or_in_hexadecimal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"\x3b\x00")

    codes = [command.main(["atr", "--replay", each]) for each in (str(file), "3b00")]

    assert codes == [0, 0]
    assert capsys.readouterr().out == "atr: 2 bytes, ok\n" * 2
