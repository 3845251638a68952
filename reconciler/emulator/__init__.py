"""The stand-in of the services: LlamaCloud's contract and Talonic's, in process or behind a port.

`service` is LlamaCloud's side alone, which the embedded provider calls in process; `host` is both of them,
with faults and a clock that can be moved, as `server` serves it. The rooms, as a request walks them:
`server` → `faults` → `doors` → `llamacloud` or `talonic` → `database`; and beside them `life`, which moves
batches on and has `reading` make text or records of documents, and `webhooks`, which tell of them.

Nothing here imports any other part of `reconciler`, and nothing of the client side is imported
here: a misunderstanding of the contract in one of the two then shows as a failure, not as agreement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.emulator.errors import (
        DatabaseTooNewError,
        DatabaseUnusableError,
        EmulatorError,
        ReaderUnavailableError,
    )
    from reconciler.emulator.service import Service

__all__ = [
    "DatabaseTooNewError",
    "DatabaseUnusableError",
    "EmulatorError",
    "ReaderUnavailableError",
    "Service",
]

_HOMES = {
    "DatabaseTooNewError": "errors",
    "DatabaseUnusableError": "errors",
    "EmulatorError": "errors",
    "ReaderUnavailableError": "errors",
    "Service": "service",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use: starlette and sqlite3 are not paid for by who needs neither."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
