"""Secrets in manifests: never their values, only where those stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A value that stands in an environment variable, because it is a secret."""

    variable: str
