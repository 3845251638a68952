"""Samples that policies are tested with: part of a plan, and what its policy is to make of it.

What a sample leaves out of its plan is filled in, so that it says no more than what it is about; what is then
no plan is no sample either, lest a misspelled key make every policy look right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.core.policies import violations
from reconciler.core.validate.words import dotted, kind_of, meant, one_of, shown
from reconciler.model.document import FORMAT_VERSION, summary
from reconciler.model.plan import Level
from reconciler.model.policy_test import Expected, SampleResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema.protocols import Validator

    from reconciler.model.plan import Violation
    from reconciler.model.project import Policy

_DIGEST = f"sha256:{'0' * 64}"
_KEYS = ("about", "expect", "message", "address", "plan")
_TOLD = 3


def judged_sample(
    policy: Policy, file: str, sample: Mapping[str, Any], plan_validator: Validator
) -> SampleResult:
    """Whether a policy makes of a sample what it is to make of it.

    Args:
        policy: the policy.
        file: the sample's file.
        sample: what it says.
        plan_validator: of the schema of plans.
    """
    if why := _misfit(sample):
        return SampleResult(file, None, why)
    expected = Expected(sample["expect"])
    document = filled(sample.get("plan", {}))
    if (fault := next(iter(plan_validator.iter_errors(document)), None)) is not None:
        why = f"its plan is no plan: {dotted(('plan', *fault.absolute_path))}: {fault.message[:200]}"
        return SampleResult(file, expected, why)
    found = violations(document, [policy])
    return SampleResult(file, expected, _departs(expected, found, sample))


def filled(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A whole plan's document of part of one."""
    document: dict[str, Any] = {
        "formatVersion": FORMAT_VERSION,
        "kind": "Plan",
        "lineage": "",
        "stateDigest": _DIGEST,
        "manifestsDigest": _DIGEST,
        "digest": _DIGEST,
        "breaches": [],
        "guarded": [],
        "closed": [],
        "violations": [],
        "selected": [],
        "targets": [],
        "changedSince": None,
        "tracked": [],
        **plan,
    }
    actions = document.get("actions", [])
    if isinstance(actions, list):
        document["actions"] = [_action(item) if isinstance(item, dict) else item for item in actions]
        kinds = [str(item.get("action")) for item in document["actions"] if isinstance(item, dict)]
        document.setdefault("summary", summary(kinds) | {"not-selected": 0})
    return document


def _action(part: Mapping[str, Any]) -> dict[str, Any]:
    address = str(part.get("address", "set/dir-1"))
    return {
        "address": address,
        "key": address,
        "action": "create",
        "reason": "missing",
        "message": "",
        "endpoint": "https://api.cloud.llamaindex.ai",
        "project": "prj-1",
        "directory": address.partition("/")[2],
        "directoryName": "",
        "job": "parse_v2",
        "configuration": "cfg-1",
        "files": None,
        "batch": None,
        "previousAddress": None,
        "inputs": None,
        **part,
    }


def _misfit(sample: Mapping[str, Any]) -> str:
    for key in sample:
        if key not in _KEYS:
            return f"unknown key {shown(key)}{meant(key, _KEYS)}"
    if sample.get("expect") not in list(Expected):
        return f"expect: expected {one_of(Expected)}, got {shown(sample.get('expect'))}"
    for key, wanted in (("message", str), ("address", str), ("about", str), ("plan", dict)):
        if key in sample and not isinstance(sample[key], wanted):
            return f"{key}: this is {kind_of(sample[key])}"
    if sample["expect"] == Expected.PASS and ("message" in sample or "address" in sample):
        return "what passes has no message and no address: leave them out"
    return ""


def _departs(expected: Expected, found: tuple[Violation, ...], sample: Mapping[str, Any]) -> str:
    """What came otherwise than expected; "" where nothing did."""
    told = "; ".join(f"{item.address or item.at or 'the plan'}: {item.message}" for item in found[:_TOLD])
    if expected is Expected.PASS:
        return f"expected to pass, and it does not: {told}" if found else ""
    level = Level.ERROR if expected is Expected.FAIL else Level.WARNING
    fitting = [item for item in found if item.level is level]
    if not fitting:
        return (
            f"expected to {expected}, and it {'only warns' if found and level is Level.ERROR else 'does not'}"
        )
    for key in ("message", "address"):
        fitting = [item for item in fitting if key not in sample or getattr(item, key) == sample[key]]
        if not fitting:
            return f"expected the {key} {shown(sample[key])}, got: {told}"
    return ""
