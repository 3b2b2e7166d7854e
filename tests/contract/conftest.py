"""Every kind of reader for chip cards, in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.readers import KINDS, Bench, opened


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A watched directory with at least two empty readers."""
    with opened(request.param, request.getfixturevalue) as found:
        yield found
