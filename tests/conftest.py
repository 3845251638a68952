"""What holds for every test: properties are about results, never about how fast a busy machine is."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "any-machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),  # CI says the same of the same commit twice
)
settings.load_profile("any-machine")
