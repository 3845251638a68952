"""The stand-in service: the documented contract of LlamaCloud, served in process from a folder.

Each folder under a root is a source directory, a batch is a row in SQLite, and `parse_v2` and
`extract_v2` really read the documents. The rooms, as a request walks them: `app` (routes) →
`validation` → `paging` → `folders`, `configurations`, `batches` → `database`; and beside them the
`worker`, which has a `reader_process` turn each file into text (`parsing`) or a record (`extraction`).

Nothing here imports any other part of `reconciler`, and nothing of the client side is imported
here: a misunderstanding of the contract in one of the two then shows as a failure, not as agreement.

Not here: HTTP sockets, faults on purpose, other services' contracts.
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
