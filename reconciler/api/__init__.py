"""The library's face: load, plan, apply, and whatever the command line calls; nothing more than that.

Each function is one thing that a person can want of a project. What they are put together from is in `house`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.api.auditing import (
        AuditPlace,
        checkpoint_audit,
        generate_audit_keys,
        read_audit,
        verify_audit,
        why,
    )
    from reconciler.api.commenting import (
        comment_mark,
        comment_place,
        not_reviewed,
        post_comment,
        saved_plan_changes,
    )
    from reconciler.api.doing import (
        apply,
        cancel,
        import_batch,
        plan,
        push_lock,
        refresh,
        resolve_absent,
        upgrade,
    )
    from reconciler.api.files import (
        init,
        install_merge_driver,
        load,
        merge_lock,
        places,
        read_plan,
        refuse_plan_file,
        save_plan,
        schema,
        schema_names,
        try_policies,
        validate,
        write_new,
    )
    from reconciler.api.joining import OPENING, join
    from reconciler.api.keeping import Moved, init_state, migrate_state, pull_state, push_state, state_sql
    from reconciler.api.looking import browse, drift, explain, export, results, status, wait, watch
    from reconciler.api.reporting import report
    from reconciler.api.running import PARALLELISM, READING
    from reconciler.engine.stop import Stop

# What each room has of it. A command imports those rooms that it goes into: all of them take longer than
# a small plan.
_ROOMS = {
    "api.auditing": (
        "AuditPlace",
        "checkpoint_audit",
        "generate_audit_keys",
        "read_audit",
        "verify_audit",
        "why",
    ),
    "api.commenting": ("comment_mark", "comment_place", "not_reviewed", "post_comment", "saved_plan_changes"),
    "api.doing": (
        "apply",
        "cancel",
        "import_batch",
        "plan",
        "push_lock",
        "refresh",
        "resolve_absent",
        "upgrade",
    ),
    "api.files": (
        "init",
        "install_merge_driver",
        "load",
        "merge_lock",
        "places",
        "read_plan",
        "refuse_plan_file",
        "save_plan",
        "schema",
        "schema_names",
        "try_policies",
        "validate",
        "write_new",
    ),
    "api.joining": ("OPENING", "join"),
    "api.keeping": ("Moved", "init_state", "migrate_state", "pull_state", "push_state", "state_sql"),
    "api.looking": ("browse", "drift", "explain", "export", "results", "status", "wait", "watch"),
    "api.reporting": ("report",),
    "api.running": ("PARALLELISM", "READING"),
    "engine.stop": ("Stop",),
}
_HOMES = {name: f"reconciler.{room}" for room, names in _ROOMS.items() for name in names}

__all__ = [
    "OPENING",
    "PARALLELISM",
    "READING",
    "AuditPlace",
    "Moved",
    "Stop",
    "apply",
    "browse",
    "cancel",
    "checkpoint_audit",
    "comment_mark",
    "comment_place",
    "drift",
    "explain",
    "export",
    "generate_audit_keys",
    "import_batch",
    "init",
    "init_state",
    "install_merge_driver",
    "join",
    "load",
    "merge_lock",
    "migrate_state",
    "not_reviewed",
    "places",
    "plan",
    "post_comment",
    "pull_state",
    "push_lock",
    "push_state",
    "read_audit",
    "read_plan",
    "refresh",
    "refuse_plan_file",
    "report",
    "resolve_absent",
    "results",
    "save_plan",
    "saved_plan_changes",
    "schema",
    "schema_names",
    "state_sql",
    "status",
    "try_policies",
    "upgrade",
    "validate",
    "verify_audit",
    "wait",
    "watch",
    "why",
    "write_new",
]


def __getattr__(name: str) -> object:
    """Import a function's room on its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
