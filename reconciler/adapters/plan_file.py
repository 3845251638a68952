"""Plans in files: written whole, and read with distrust.

A plan file is data that anybody may have touched. It is held against its own digest, field by field, and what
comes out is a value that can only allow or forbid (see `core.saved`).
"""

from __future__ import annotations

import json
import os
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from reconciler.model.canonical import digest
from reconciler.model.errors import SettingsError
from reconciler.model.plan import Since, digest_of
from reconciler.model.saved import SavedAction, SavedPlan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: The major version of the format that this version reads.
MAJOR = "1"

#: Bytes of a plan file: a hundred thousand actions have some fifty million.
LONGEST = 500_000_000

# How every document of this tool begins.
_SIGN = b'{\n  "formatVersion"'

_AGAIN = "Make it again: reconciler plan --out FILE"


def refuse_other(path: Path) -> None:
    """Make sure that a plan can be put in a file's place: that nothing is there, or a plan or nothing in it.

    Raises:
        SettingsError: something else is there, a manifest or a lockfile perhaps.
    """
    try:
        if path.is_dir():
            why = "it is a folder"
        elif os.path.lexists(path) and not path.is_file():
            why = "it is no file of its own"
        else:
            with path.open("rb") as file:
                begin = file.read(len(_SIGN))
            ours = not begin or begin == _SIGN
            why = "" if ours else "something else stands in it, which is not written over"
    except FileNotFoundError:
        return
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    if why:
        raise SettingsError("the plan cannot be written", where=str(path), why=why, next="Name another file")


def write_plan(path: Path, document: Mapping[str, Any]) -> str:
    """Write a plan's document with its own digest, whole or not at all; gives that digest.

    Raises:
        SettingsError: the file cannot be written, or something else stands in it.
    """
    refuse_other(path)
    own = digest(document)
    text = json.dumps({**document, "selfDigest": own}, indent=2) + "\n"
    try:
        # Beside it and then in its place: a reader never meets half a plan.
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            beside = path.parent / file.name
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                beside.chmod(0o644)
                beside.replace(path)
            except OSError:
                beside.unlink()
                raise
    except OSError as error:
        raise SettingsError(
            "the plan cannot be written", where=str(path), why=(error.strerror or str(error)).lower()
        ) from error
    return own


def read_plan(path: Path) -> SavedPlan:
    """Read a plan that `write_plan` wrote.

    Raises:
        SettingsError: it cannot be read, is no plan, is one of a newer tool, or was edited.
    """
    document = _document(path)
    version = document.get("formatVersion")
    if document.get("kind") != "Plan" or not isinstance(version, str):
        raise SettingsError("this is no plan", where=str(path), next=_AGAIN)
    if version.partition(".")[0] != MAJOR:
        raise SettingsError(
            f"the plan has format version {version[:20]!r}, and this tool reads {MAJOR}",
            where=str(path),
            next="Apply it with the version of reconciler that wrote it, or make it again",
        )
    own = document.pop("selfDigest", None)
    if not isinstance(own, str):
        why = "`plan --format json` prints one to look at; `plan --out FILE` writes one to apply"
        raise SettingsError("the plan has no digest of its own", where=str(path), why=why, next=_AGAIN)
    if _digest(document) != own:
        why = "its digest does not fit"
        raise SettingsError(
            "the plan was changed after it was written", where=str(path), why=why, next=_AGAIN
        )
    try:
        plan = SavedPlan(
            file=str(path),
            own=own,
            digest=_text(document, "digest"),
            lineage=_text(document, "lineage"),
            state=_text(document, "stateDigest"),
            manifests=_text(document, "manifestsDigest"),
            targets=tuple([_word(item) for item in _list(document, "targets")]),
            actions=tuple([_action(item) for item in _list(document, "actions")]),
            since=_since(document.get("changedSince")),
        )
    except _MisfitError as error:
        raise SettingsError("this is no plan", where=str(path), why=str(error), next=_AGAIN) from error
    # Whoever compares this digest with the one that was reviewed need not look at the actions.
    if digest_of((item.kind, item.address, item.key) for item in plan.actions) != plan.digest:
        why = "its actions are not those that its digest names"
        raise SettingsError(
            "the plan was changed after it was written", where=str(path), why=why, next=_AGAIN
        )
    return plan


class _MisfitError(ValueError):
    """A field that is not as a plan has it. Its digest fits, so that somebody has taken pains."""


def _digest(document: Mapping[str, Any]) -> str:
    try:
        return digest(document)
    except (ValueError, RecursionError):
        return ""  # what no plan can hold, such as NaN


def _action(item: object) -> SavedAction:
    if not isinstance(item, dict):
        raise _MisfitError("an action is no object")
    inputs = item.get("inputs")
    return SavedAction(
        kind=_text(item, "action"),
        address=_text(item, "address"),
        key=_text(item, "key"),
        reason=_text(item, "reason"),
        inputs="" if inputs is None else _word(inputs),
    )


def _since(item: object) -> Since | None:
    if item is None:
        return None
    if not isinstance(item, dict):
        raise _MisfitError("changedSince: expected an object")
    sets = None if item.get("sets") is None else tuple([_word(name) for name in _list(item, "sets")])
    return Since(_text(item, "ref"), _text(item, "commit"), sets)


def _list(record: Mapping[str, Any], name: str) -> list[object]:
    value = record.get(name)
    if not isinstance(value, list):
        raise _MisfitError(f"{name}: expected a list")
    return value


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise _MisfitError(f"{name}: expected text")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise _MisfitError(f"expected text, got {type(value).__name__}")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Of a key that stands twice, not every reader takes the same."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SettingsError("the plan cannot be read", where=str(path), why=why, next=_AGAIN) from error
    if len(text) > LONGEST:
        raise SettingsError(f"the plan has more than {LONGEST:,} bytes", where=str(path))
    try:
        value = json.loads(text, object_pairs_hook=_members)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise SettingsError(f"this is no plan: {error.msg}", where=where, next=_AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise SettingsError("this is no plan", where=str(path), why=str(error), next=_AGAIN) from error
    if not isinstance(value, dict):
        raise SettingsError("this is no plan", where=str(path), next=_AGAIN)
    return value
