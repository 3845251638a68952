"""Policies: JSON Schemas that the document of a plan has to satisfy (R15).

A violation bears its author's words: those of the schema that was not satisfied, else of the nearest one
around it. What cannot be judged, such as a policy that refers to itself without end, counts as violated.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from reconciler.core.validate.policies import CONFIRM, LEVEL, MESSAGES, resolved
from reconciler.core.validate.words import dotted
from reconciler.model.document import plan_document
from reconciler.model.plan import Level, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from reconciler.model.plan import Plan
    from reconciler.model.project import Policy

#: So many violations of one policy are told.
MOST = 1_000

# References that are followed for one plan: one for each of its parts, and no doubling without end.
_FOLLOWED, _FOLLOWED_PER_ACTION = 10_000, 200

_LONGEST = 300
_MOST_FOLLOWED = 20  # references on the way to one error


def judged(plan: Plan, policies: Iterable[Policy]) -> Plan:
    """A plan with the policies that it does not satisfy."""
    policies = tuple(policies)
    if not policies:
        return plan
    return replace(plan, violations=violations(plan_document(replace(plan, violations=())), policies))


def violations(document: Mapping[str, Any], policies: Iterable[Policy]) -> tuple[Violation, ...]:
    """The policies that a plan's document does not satisfy, sorted."""
    return tuple(sorted({item for policy in policies for item in _of_one(document, policy)}))


def _of_one(document: Mapping[str, Any], policy: Policy) -> Iterator[Violation]:
    validator, budget = _validator(policy)
    budget[0] = _FOLLOWED + _FOLLOWED_PER_ACTION * len(document.get("actions", ()))
    told = 0
    try:
        for error in islice(validator.iter_errors(document), MOST + 1):
            told += 1
            if told <= MOST:
                yield _violation(document, policy, error)
    except (RecursionError, _EndlessError):
        yield _blank(policy, "this policy cannot be judged: its references lead on without end")
        return
    if told > MOST:
        yield _blank(policy, f"there are more violations: {MOST:,} are told")


class _EndlessError(Exception):
    """More references were followed than any plan needs."""


@lru_cache(maxsize=64)
def _validator(policy: Policy) -> tuple[Validator, list[int]]:
    """A policy made ready once, and how many references it may still follow."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from referencing import Registry

    left = [0]
    follow = Draft202012Validator.VALIDATORS["$ref"]

    def follow_some(validator: Any, *rest: Any) -> Iterator[ValidationError]:  # noqa: ANN401 - jsonschema's own
        left[0] -= 1
        if left[0] < 0:
            raise _EndlessError
        yield from follow(validator, *rest)

    made = extend(Draft202012Validator, {"$ref": follow_some})  # type: ignore[no-untyped-call]
    # A registry without anything and without a way to fetch: nothing outside of the policy is looked for.
    return made(policy.schema, registry=Registry()), left


def _violation(document: Mapping[str, Any], policy: Policy, error: ValidationError) -> Violation:
    path = tuple(error.absolute_path)
    around = _around(policy.schema, error)
    message = next((part[word] for part in around for word in MESSAGES if word in part), "")
    if not message:
        said = error.message if len(error.message) <= _LONGEST else f"{error.message[: _LONGEST - 1]}…"
        message = str(policy.schema.get("title") or policy.schema.get("description") or said)
    return Violation(
        policy=policy.file,
        address=_address(document, path),
        at=dotted(path),
        message=message,
        level=Level(next((part[LEVEL] for part in around if LEVEL in part), Level.ERROR)),
        confirmable=next((part[CONFIRM] for part in around if CONFIRM in part), "digest") != "never",
    )


def _blank(policy: Policy, message: str) -> Violation:
    level = Level(policy.schema.get(LEVEL, Level.ERROR))
    return Violation(policy.file, "", "", message, level, policy.schema.get(CONFIRM) != "never")


def _around(schema: Mapping[str, Any], error: ValidationError) -> list[Mapping[str, Any]]:
    """The schemas that an error stands in, the innermost first.

    jsonschema's path leaves out where a reference was followed, so both ways are tried at each.
    """
    way = _way(schema, schema, tuple(error.absolute_schema_path)[:-1], error.schema, _MOST_FOLLOWED)
    return (way or [schema])[::-1]


def _way(
    whole: Mapping[str, Any],
    there: Any,  # noqa: ANN401 - a schema, or what stands in one
    path: tuple[str | int, ...],
    goal: object,
    left: int,
) -> list[Mapping[str, Any]] | None:
    """The schemas from one down a path to the goal, references followed; None if it does not lead there."""
    here: list[Mapping[str, Any]] = [there] if isinstance(there, dict) else []
    if not path and there is goal:
        return here
    if path:
        try:
            inner = there[path[0]]
        except (KeyError, IndexError, TypeError):
            inner = None
        if inner is not None and (way := _way(whole, inner, path[1:], goal, left)) is not None:
            return here + way
    if here and left and isinstance(there.get("$ref"), str):
        way = _way(whole, resolved(there["$ref"], whole), path, goal, left - 1)
        return None if way is None else here + way
    return None


def _address(document: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
    match path:
        case ("actions", int(index), *_):
            action = document["actions"][index]
            return str(action.get("address", "")) if isinstance(action, dict) else ""
        case _:
            return ""
