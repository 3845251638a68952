"""Chance that repeats: what looks random is a function of a seed and of what it is drawn for.

A hash instead of a random generator: the n-th draw needs none of those before it, no order of requests
changes it, and neither does a version of Python.
"""

from __future__ import annotations

import hashlib


def draw(seed: int, *what: str | int) -> float:
    """Give a number from 0 up to 1 that depends on the seed and on what it is drawn for, and nothing else."""
    digest = hashlib.sha256(repr((seed, *what)).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
