"""R15: policies are held against a plan's document, and nothing that they say reaches anything else."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.policies import MOST, judged, violations
from reconciler.core.policy_samples import filled
from reconciler.core.validate.policies import MAX_DEPTH, policy_faults
from reconciler.model.canonical import digest
from reconciler.model.plan import Level, Plan, Violation
from reconciler.model.project import Policy


def policy(schema: dict[str, Any], file: str = "policies/p.json") -> Policy:
    assert policy_faults(schema) == []
    return Policy(file=file, digest=digest(schema), schema=schema)


def plan(*actions: dict[str, Any], **more: object) -> dict[str, Any]:
    return filled({"actions": list(actions), **more})


def dear(**words: object) -> dict[str, Any]:
    """At most ten files in a create, with words about it beside the number."""
    return {"properties": {"actions": {"items": {"properties": {"files": {"maximum": 10, **words}}}}}}


DEAR = plan({"address": "a/d1", "files": 5}, {"address": "a/d2", "files": 50})


def test_a_violation_names_the_policy_the_action_and_the_authors_words() -> None:
    assert violations(DEAR, [policy(dear(errorMessage="at most ten files"))]) == (
        Violation("policies/p.json", "a/d2", "actions[1].files", "at most ten files"),
    )
    assert violations(plan({"files": 10}), [policy(dear())]) == ()


@pytest.mark.parametrize(
    ("schema", "message", "level", "confirmable"),
    [
        (dear(**{"x-message": "ten", "errorMessage": "first"}), "first", Level.ERROR, True),
        (dear(**{"x-message": "ten", "x-level": "warning"}), "ten", Level.WARNING, True),
        ({**dear(), "x-message": "the whole"}, "the whole", Level.ERROR, True),
        ({**dear(), "title": "Few files"}, "Few files", Level.ERROR, True),
        ({**dear(), "description": "It costs"}, "It costs", Level.ERROR, True),
        (dear(), "50 is greater than the maximum of 10", Level.ERROR, True),
        ({**dear(), "x-level": "warning", "x-confirm": "never"}, "50 is greater than the maximum of 10",
         Level.WARNING, False),
        # Nearer words win over those around them.
        ({**dear(**{"x-level": "error", "x-confirm": "digest"}), "x-level": "warning", "x-confirm": "never"},
         "50 is greater than the maximum of 10", Level.ERROR, True),
        # Through a reference, with words on both sides of it; jsonschema's path leaves it out.
        ({"properties": {"actions": {"items": {"$ref": "#/$defs/few", "x-message": "outer"}}},
          "$defs": {"few": {"properties": {"files": {"maximum": 10, "x-message": "inner"}}}}},
         "inner", Level.ERROR, True),
        ({"properties": {"actions": {"items": {"$ref": "#/$defs/few", "x-message": "outer"}}},
          "$defs": {"few": {"properties": {"files": {"maximum": 10}}}}}, "outer", Level.ERROR, True),
        # Branches of a condition, a list of schemas, and what may not be.
        ({"properties": {"actions": {"items": {"if": {"properties": {"action": {"const": "create"}}},
          "then": {"properties": {"files": {"maximum": 10}}, "x-message": "then"}}}}},
         "then", Level.ERROR, True),
        ({"allOf": [{"x-message": "all of", **dear()}]}, "all of", Level.ERROR, True),
        ({"properties": {"actions": {"items": {"not": {"properties": {"files": {"const": 50}}},
          "x-message": "not"}}}}, "not", Level.ERROR, True),
    ],
)  # fmt: skip
def test_the_nearest_words_around_what_is_not_satisfied_are_the_ones(
    schema: dict[str, Any], message: str, level: Level, *, confirmable: bool
) -> None:
    (found,) = violations(DEAR, [policy(schema)])
    assert (found.message, found.level, found.confirmable) == (message, level, confirmable)
    assert found.address == "a/d2"


def test_violations_are_sorted_whatever_the_order_of_policies() -> None:
    one, two = policy(dear(), "policies/a.json"), policy(dear(errorMessage="b"), "policies/b.json")
    assert violations(DEAR, [one, two]) == violations(DEAR, [two, one])
    assert [item.policy for item in violations(DEAR, [two, one])] == ["policies/a.json", "policies/b.json"]


def test_of_very_many_violations_some_are_told_and_that_there_are_more() -> None:
    many = plan(*({"address": f"a/d{number}", "files": 50} for number in range(MOST + 5)))
    found = violations(many, [policy(dear(errorMessage="ten"))])
    assert len(found) == MOST + 1
    assert f"there are more violations: {MOST:,} are told" in {item.message for item in found}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        # Each refers to the next twice: a million million times, if it were not for the bound.
        {"$ref": "#/$defs/0",
         "$defs": {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)} | {"40": {}}},
    ],
)  # fmt: skip
def test_what_leads_on_without_end_counts_as_violated(schema: dict[str, Any]) -> None:
    (found,) = violations(plan({}), [policy(schema)])
    assert found.message == "this policy cannot be judged: its references lead on without end"
    assert found.level is Level.ERROR


def test_a_plan_is_judged_by_the_document_that_is_printed_of_it() -> None:
    """Its own violations are none of what it is judged by."""
    schema = {
        "properties": {"violations": {"maxItems": 0}, "kind": {"const": "Plan"}},
        "required": ["digest"],
    }
    made = judged(Plan(actions=()), [policy(schema)])
    assert made.violations == ()
    again = judged(made, [policy({"required": ["no-such-key"]})])
    assert [item.at for item in again.violations] == [""]
    assert judged(again, [policy(schema)]).violations == ()


@pytest.mark.parametrize(
    ("schema", "path", "message"),
    [
        ({"type": "objct"}, ("type",),
         "this is no JSON Schema: 'objct' is not valid under any of the given schemas"),
        ({"requird": ["a"]}, ("requird",), "unknown keyword 'requird': did you mean 'required'?"),
        ({"properties": {"a": {"format": "date"}}}, ("properties", "a", "format"),
         "unknown keyword 'format': it would forbid nothing"),
        ({"$ref": "https://there.test/x"}, ("$ref",),
         "a policy refers to nothing but itself: expected '#/$defs/…'"),
        ({"$ref": "other.json"}, ("$ref",), "a policy refers to nothing but itself: expected '#/$defs/…'"),
        ({"$ref": "#/$defs/a"}, ("$ref",), "there is nothing at '#/$defs/a'"),
        ({"$ref": "#here"}, ("$ref",), "expected '#/$defs/…': anchors are not followed"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ("$schema",),
         "only https://json-schema.org/draft/2020-12/schema is read"),
        ({"items": {"$id": "other"}}, ("items", "$id"), "only the whole of a policy has an $id"),
        ({"pattern": "("}, ("pattern",),
         "this is no pattern: missing ), unterminated subpattern at position 0"),
        ({"x-level": "fatal"}, ("x-level",), "expected 'error' or 'warning', got 'fatal'"),
        ({"x-confirm": True}, ("x-confirm",), "expected 'digest' or 'never', got 'True'"),
        ({"errorMessage": ["a"]}, ("errorMessage",), "expected text, got a list"),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_told_at_its_place(
    schema: dict[str, Any], path: tuple[str, ...], message: str
) -> None:
    (fault,) = policy_faults(schema)
    assert (fault.path, fault.message) == (path, message)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|ab)*c", "((a*)b?)*", r"(x)\1", "(?:a{1,9}){5,}", "(?=(a+)+)b"]
)
def test_patterns_that_could_take_for_ever_are_refused(pattern: str) -> None:
    (fault,) = policy_faults({"pattern": pattern})
    assert fault.message.startswith("this repeats what repeats or branches")
    (fault,) = policy_faults({"patternProperties": {pattern: {}}})
    assert fault.key


@pytest.mark.parametrize(
    "pattern", ["^legal-", "^(a|b)-[0-9]+$", "(ab)*", "a{3}", "^.*-[a-z]{2,}$", "(a{3})+"]
)
def test_plain_patterns_are_taken(pattern: str) -> None:
    assert policy_faults({"pattern": pattern}) == []


def test_a_policy_is_only_so_deep() -> None:
    def nested(levels: int) -> dict[str, Any]:
        schema: dict[str, Any] = {}
        for _ in range(levels):
            schema = {"not": schema}
        return schema

    assert policy_faults(nested(MAX_DEPTH - 2)) == []
    assert violations(plan({}), [policy(nested(MAX_DEPTH - 2))]) == ()
    (fault,) = policy_faults(nested(50_000))
    assert fault.message.startswith(f"nested more than {MAX_DEPTH} deep")
