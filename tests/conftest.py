"""What every ring shares."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.centre import centre, session_centre
from tests.matrix import noted
from tests.pcsc import session_pcscd, session_twin, twin, vpcd

__all__ = ["centre", "session_centre", "session_pcscd", "session_twin", "twin", "vpcd"]

settings.register_profile("rings", deadline=None, max_examples=100)
settings.register_profile("soak", deadline=None, max_examples=5_000)
settings.load_profile("rings")


def pytest_configure(config: pytest.Config) -> None:
    """What passes is noted for the last ring."""
    noted.begin(config)
