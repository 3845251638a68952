"""Plan and apply for batches of document processing: never twice, never lost, always explained.

::

    from reconciler import apply, load, plan

    project = load("documents")
    for action in plan(project).actions:
        print(action.kind, action.address, action.reason.text)
    apply(project)

The command line calls the same functions. Names are imported on first use, so that importing this package
costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

# Type checkers take a name spelled like this for true. The real one would import typing, which takes
# as long as everything else that `--version` does.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from reconciler.api import Stop, apply, load, plan, validate
    from reconciler.model.batch import Address, Batch, JobType, Key, Status
    from reconciler.model.errors import (
        AuthenticationError,
        ForbiddenError,
        InvalidRequestError,
        LimitError,
        LockHeldError,
        LockLostError,
        ManifestError,
        NotFoundError,
        NotSentError,
        PaymentError,
        RateLimitedError,
        ReconcilerError,
        ServiceError,
        SettingsError,
        StalePlanError,
        StateError,
        UnavailableError,
        UnexpectedReplyError,
    )
    from reconciler.model.plan import Action, ActionKind, Plan, Reason, ReasonCode
    from reconciler.model.project import Project
    from reconciler.model.result import Applied, Finding, Outcome, Result
    from reconciler.model.source import Diagnostic, Severity, Source

# Where public names are at home; the library's face comes last, since it imports most.
_HOMES = (
    "reconciler.model.batch",
    "reconciler.model.errors",
    "reconciler.model.plan",
    "reconciler.model.project",
    "reconciler.model.result",
    "reconciler.model.source",
    "reconciler.api",
)

__all__ = [
    "Action",
    "ActionKind",
    "Address",
    "Applied",
    "AuthenticationError",
    "Batch",
    "Diagnostic",
    "Finding",
    "ForbiddenError",
    "InvalidRequestError",
    "JobType",
    "Key",
    "LimitError",
    "LockHeldError",
    "LockLostError",
    "ManifestError",
    "NotFoundError",
    "NotSentError",
    "Outcome",
    "PaymentError",
    "Plan",
    "Project",
    "RateLimitedError",
    "Reason",
    "ReasonCode",
    "ReconcilerError",
    "Result",
    "ServiceError",
    "SettingsError",
    "Severity",
    "Source",
    "StalePlanError",
    "StateError",
    "Status",
    "Stop",
    "UnavailableError",
    "UnexpectedReplyError",
    "apply",
    "load",
    "plan",
    "validate",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    if name in __all__:
        from importlib import import_module

        for home in _HOMES:
            if hasattr(module := import_module(home), name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
