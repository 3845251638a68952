"""Two columns about one address: does live match desired, and how is the batch doing?"""

from __future__ import annotations

from enum import StrEnum


class Sync(StrEnum):
    """Whether what is live is what is desired and recorded."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"  # what is live could not be seen (R7)
    AMBIGUOUS = "Ambiguous"  # a create's outcome is not known (R8)


class Health(StrEnum):
    """How the batch that stands is doing. Healthy and Degraded are told apart by its files, by no listing."""

    MISSING = "Missing"
    PROGRESSING = "Progressing"
    COMPLETED = "Completed"  # its files were not read yet
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"  # FAILED, CANCELLED, or files that failed
