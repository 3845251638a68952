"""An explanation, for people and as a JSON document."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from reconciler.model.document import FORMAT_VERSION, action_document, batch_document, time_text
from reconciler.model.explanation import Standing
from reconciler.model.lock import Origin
from reconciler.render.harmless import harmless
from reconciler.render.text import MARKS, painted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from reconciler.model.explanation import Course, Explanation, Verdict
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Recorded

#: What a batch is to the address: it counts, it would do, it does not count, or that is not known.
_MARKS = {
    Standing.STANDS: "=",
    Standing.SATISFIES: "&",
    Standing.OTHER_WORK: "-",
    Standing.OUTDATED: "-",
    Standing.FAILED: "-",
    Standing.CANCELLED: "-",
    Standing.GONE: "?",
    Standing.UNSEEN: "?",
}
_COLOURS = {"=": "32", "&": "36", "-": "2", "?": "35"}

_ORIGINS = {
    Origin.CREATED: "created by us",
    Origin.FOUND: "found after a create whose reply was lost",
    Origin.ADOPTED: "adopted: it was there already",
}


def explained_lines(explanation: Explanation, *, colour: bool = False) -> Iterator[str]:
    """An explanation, line by line. The last part says what would change what the plan says."""
    yield from _head(explanation)
    yield ""
    yield f"Batches over {harmless(explanation.key.directory)}, the oldest first:"
    for verdict in explanation.verdicts:
        yield from _verdict_lines(verdict, colour=colour)
    if not explanation.verdicts:
        yield "  none" if not explanation.unknown else "  none that could be seen"
    if explanation.unknown:
        yield harmless(f"  ? There may be others: {explanation.unknown}")
    for intent in explanation.intents:
        yield harmless(f"  ? {_intent(intent)}")
    for course in explanation.courses:
        yield ""
        yield from _course_lines(course, colour=colour)


def _head(explanation: Explanation) -> Iterator[str]:
    key, name = explanation.key, explanation.directory_name
    yield harmless(str(explanation.address) + (f"  {name}" if name else ""))
    where = f"asked for at {explanation.where}" if explanation.where else "no manifest asks for it"
    yield harmless(f"  {where}: {key.job} with {key.configuration}")
    yield harmless(f"  on {key.endpoint}, project {key.project}")
    if explanation.policy:
        policy = ", ".join(f"{name}: {value}" for name, value in explanation.policy.items())
        yield harmless(f"  rerun: {policy}")


def _verdict_lines(verdict: Verdict, *, colour: bool) -> Iterator[str]:
    batch, mark = verdict.batch, _MARKS[verdict.standing]
    at = _at(batch.created_at) if batch.created_at else "at a time that is not known"
    yield f"  {painted(mark, _COLOURS[mark], colour=colour)} " + harmless(f"{batch.id}  {batch.status}  {at}")
    yield harmless(f"      {verdict.why} ({verdict.rule})")
    yield harmless(f"      {_recorded(verdict.recorded)}")


def _recorded(recorded: Recorded | None) -> str:
    if recorded is None:
        return "not recorded"
    text = f"recorded {_at(recorded.recorded_at)}, {_ORIGINS[recorded.origin]}"
    evidence = recorded.evidence
    if evidence is not None:
        text += f", for {evidence.reason}"
        if evidence.after is not None:
            text += f" with rerun.after {_at(evidence.after)}"
        if evidence.inputs:
            text += ", with a digest of its files"
        if evidence.configuration:
            text += f", configuration version {evidence.configuration}"
    if recorded.files is not None:
        text += f"; {recorded.files.failed:,} of {recorded.files.total:,} files failed"
    return text


def _at(moment: datetime) -> str:
    """To the second, in the form that a manifest takes."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _intent(intent: Intent) -> str:
    return (
        f"a create was sent {_at(intent.at)} by run {intent.run}, for"
        f" {intent.evidence.reason}, and its outcome is not known;"
        f" {len(intent.known):,} batches were there before"
    )


def _course_lines(course: Course, *, colour: bool) -> Iterator[str]:
    action = course.action
    mark = painted(MARKS[action.kind], "1", colour=colour)
    said = harmless(f"{action.kind} {action.address}: {action.reason.text}")
    yield f"The plan: {mark} {said}"
    for way in course.ways:
        yield harmless(f"  - {way}")


def explained_document(explanation: Explanation) -> dict[str, Any]:
    """An explanation as a JSON document."""
    key, where = explanation.key, explanation.where
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Explanation",
        "address": str(explanation.address),
        "key": str(key),
        "desired": {"file": where.file, "line": where.line, "column": where.column} if where else None,
        "directory": key.directory,
        "directoryName": explanation.directory_name,
        "rerun": dict(explanation.policy),
        "complete": not explanation.unknown,
        "unknown": explanation.unknown,
        "batches": [_verdict_document(verdict) for verdict in explanation.verdicts],
        "openCreates": [
            {"at": time_text(intent.at), "run": intent.run, "reason": str(intent.evidence.reason)}
            for intent in explanation.intents
        ],
        "plan": [
            action_document(course.action) | {"ways": list(course.ways)} for course in explanation.courses
        ],
    }


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    batch, recorded = verdict.batch, verdict.recorded
    return {
        "batch": batch_document(batch),
        "standing": verdict.standing.value,
        "rule": verdict.rule,
        "message": verdict.why,
        "job": batch.key.job.value,
        "configuration": batch.key.configuration,
        "differing": [item._asdict() for item in verdict.differing],
        "attempt": verdict.attempt,
        "owner": str(verdict.owner) if verdict.owner else None,
        "recorded": {
            "at": time_text(recorded.recorded_at),
            "origin": recorded.origin.value,
            "reason": str(recorded.evidence.reason) if recorded.evidence else None,
            "after": time_text(recorded.evidence.after) if recorded.evidence else None,
            "inputs": recorded.evidence.inputs if recorded.evidence else None,
            "configurationVersion": recorded.evidence.configuration if recorded.evidence else None,
        }
        if recorded
        else None,
    }
