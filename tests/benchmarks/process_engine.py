"""Our card engine, called in process: `calls N`, see `answering`."""

from __future__ import annotations

from simulator import people
from tests.benchmarks.answering import answer, repeated
from tests.benchmarks.process_card import CARD

SELECTIONS = (
    bytes.fromhex("00A404000F7378312E73682EC9E7BBE1B1A3D5CF"),
    bytes.fromhex("00A4020002EF06"),
)
READ_NUMBER = bytes.fromhex("00B2080014")


def main() -> None:
    """Select the file and answer until the input ends."""
    engine = people.engine(CARD)
    for command in SELECTIONS:
        engine.process(command)
    answer({"calls": repeated(engine.process, READ_NUMBER)})


if __name__ == "__main__":
    main()
