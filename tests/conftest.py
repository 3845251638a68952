"""What holds for every test: properties are about results, never about how fast a busy machine is."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any-machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),  # CI says the same of the same commit twice
)
settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """CONTRIBUTING.md says what the long forms are for and how long they take."""
    parser.addoption("--long", action="store_true", help="the campaigns in their long form")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether a campaign is to go through everything, for minutes or hours, and not through a sample."""
    return bool(request.config.getoption("--long"))
