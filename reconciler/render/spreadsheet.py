"""CSV for spreadsheets: RFC 4180, and no cell begins a formula or does harm where it is shown."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable

# What spreadsheets take for the beginning of a formula, with the full-width forms that some of them know.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - meant


def csv_rows(rows: Iterable[Iterable[str]]) -> str:
    """Rows as text; an apostrophe stands before what would begin a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([_no_formula(harmless(cell)) for cell in row] for row in rows)
    return text.getvalue()


def _no_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
