"""Exported sets as manifests: what is from outside is quoted, or stands on the one line of a comment."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from reconciler.model.export import Omitted
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.export import Export, ExportedSet, Remark

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
# Other readers of YAML take some of these for more than text.
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
# Three ids as long as a service makes them, and why: the reason comes last, and is what a reader needs.
_LONGEST_COMMENT = 400


def manifest_text(item: ExportedSet) -> str:
    """One set as a manifest; without directories, only its remarks."""
    return "\n".join(_lines(item)) + "\n"


def export_text(export: Export) -> str:
    """All sets as one stream of documents."""
    documents = [manifest_text(item) for item in export.sets]
    head = f"# {summary(export)}\n"
    return head + "---\n" + "---\n".join(documents) if documents else head


def summary(export: Export) -> str:
    """What was exported, in one sentence."""
    documents = sum(1 for item in export.sets if item.directories)
    text = f"Exported: {_number(export.asked_for, 'directory', 'directories')}"
    text += f" in {_number(documents, 'set', 'sets')}"
    if export.remarked:
        text += f"; {_number(export.remarked, 'batch', 'batches')} only as comments"
    if export.desired:
        text += (
            f"; {_number(export.desired, 'batch', 'batches')} left out, since manifests ask for their work"
        )
    return text + "."


def scalar(text: str) -> str:
    """A text as a YAML scalar that every reader takes for that text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(_character(character) for character in text) + '"'


def comment(text: str) -> str:
    """A text as it may stand in a comment: on one line, nothing in it hidden, and not too long."""
    if len(text) > _LONGEST_COMMENT:
        text = text[: _LONGEST_COMMENT - 1] + "…"
    return "".join(
        character if character.isprintable() else _escaped(character) for character in harmless(text)
    )


def _lines(item: ExportedSet) -> Iterator[str]:
    if not item.directories:
        job = f"{item.job} {item.configuration} on {item.provider}"
        yield f"# {comment(job)}: no batch of it can be adopted."
    else:
        yield "apiVersion: reconciler/v1"
        yield "kind: BatchSet"
        yield "metadata:"
        yield f"  name: {scalar(item.name)}"
        yield "spec:"
        yield f"  provider: {scalar(item.provider)}"
        yield "  job:"
        yield f"    type: {scalar(item.job.value)}"
        yield f"    configuration: {scalar(item.configuration)}"
        yield "  directories:"
        for directory in item.directories:
            name = "" if directory.name == directory.id else directory.name
            yield f"    - id: {scalar(directory.id)}" + (f"  # {comment(name)}" if name else "")
    asked = {directory.id for directory in item.directories}
    for remark in item.remarks:
        alone = bool(asked) and remark.directory not in asked
        yield ("    " if asked else "") + f"# {comment(_remark(remark, alone=alone))}"


def _remark(remark: Remark, *, alone: bool) -> str:
    """In words; ``alone`` as the line that asks for the directory, once it is taken out of its comment."""
    batch = remark.batch
    at = f", {batch.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if batch.created_at else ""
    what = f"{batch.id} ({batch.status}{at}): {remark.why}"
    if alone and remark.reason in {Omitted.FAILED, Omitted.CANCELLED}:
        return f"- id: {scalar(remark.directory)}  # would be created anew: {what}"
    return f"{remark.directory}: {what}"


def _character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if " " <= character <= "~" else _escaped(character)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the last of the first plane


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
