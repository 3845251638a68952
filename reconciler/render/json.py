"""Outcomes and diagnostics as JSON documents, each with a ``formatVersion`` of its own.

A plan's document is the model's (`model.document`), since policies are held against it as well.

A newer minor version only adds keys; a newer major one may mean anything. The schemas stand in ``schemas/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.model.document import (
    FORMAT_VERSION,
    action_document,
    batch_document,
    closed_document,
    summary,
    tracked_items,
)
from reconciler.model.source import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.result import Applied
    from reconciler.model.source import Diagnostic


def applied_document(applied: Applied) -> dict[str, Any]:
    """An apply's outcome. The results stand in the order of the plan."""
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Applied",
        "planDigest": applied.plan.digest,
        "summary": summary(result.outcome.value for result in applied.results),
        "ended": applied.ended,
        "interrupted": applied.stopped is not None,
        "timedOut": applied.timed_out,
        "findings": [
            {
                "address": str(finding.address),
                "key": str(finding.key),
                "finding": "ambiguous" if finding.ambiguous else "duplicate",
                "batches": list(finding.batches),
                "stands": finding.stands,
            }
            for finding in applied.findings
        ],
        "results": [
            action_document(result.action)
            | {"outcome": result.outcome.value, "why": result.why, "batch": batch_document(result.batch)}
            for result in applied.results
        ],
        "notLookedAgain": [str(address) for address in applied.not_looked_again],
        "unresolved": [str(address) for address in applied.unresolved],
        "batches": [batch_document(batch) for batch in applied.batches],
        "failedFiles": applied.failed_files,
        "closed": [closed_document(item) for item in applied.closed],
        "tracked": tracked_items(applied.plan.tracked),
    }


def diagnostics_document(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """What `validate` has to say."""
    items = list(diagnostics)
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Diagnostics",
        "valid": all(item.severity is not Severity.ERROR for item in items),
        "diagnostics": [
            {
                "file": item.source.file,
                "line": item.source.line,
                "column": item.source.column,
                "severity": item.severity.value,
                "message": item.message,
            }
            for item in items
        ],
    }
