"""Secrets in manifests: never their values, only where those stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SOUNDS_SECRET = re.compile(r"(?i).*(key|token|secret|password|passphrase|credentials?)")


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A value that stands in an environment variable, because it is a secret."""

    variable: str


def sounds_secret(name: str) -> bool:
    """Whether an option of this name holds a secret, as far as a name can tell."""
    return _SOUNDS_SECRET.fullmatch(name) is not None
