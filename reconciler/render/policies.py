"""What testing policies came to, as lines and as JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.model.document import FORMAT_VERSION, violation_document
from reconciler.model.plan import Level
from reconciler.render.harmless import harmless
from reconciler.render.text import violation_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.policy_test import PolicyTest


def policy_lines(tested: PolicyTest) -> Iterator[str]:
    """Each sample, or each violation of a plan; the sum is last."""
    if tested.plan:
        for item in tested.violations:
            word = "violated" if item.level is Level.ERROR else "warning"
            yield harmless(f"{word}  {violation_text(item)}")
        errors = sum(1 for item in tested.violations if item.level is Level.ERROR)
        warned = len(tested.violations) - errors
        text = f"{tested.plan}: {_count(len(tested.policies), 'policy', 'policies')}, {errors:,} violated"
        yield harmless(text + (f", {_count(warned, 'warning', 'warnings')}." if warned else "."))
        return
    for policy in tested.policies:
        yield harmless(policy.policy)
        for sample in policy.samples:
            mark, why = ("FAIL", f": {sample.why}") if sample.why else ("ok  ", "")
            yield harmless(f"  {mark}  {sample.file}{why}")
        if not policy.samples:
            beside = f"{policy.policy.removesuffix('.json')}.tests/*.json"
            yield harmless(f"  --    no samples: nothing shows what it refuses ({beside})")
    samples = [sample for policy in tested.policies for sample in policy.samples]
    wrong = sum(1 for sample in samples if sample.why)
    yield (
        f"{_count(len(tested.policies), 'policy', 'policies')}, {_count(len(samples), 'sample', 'samples')}:"
        f" {len(samples) - wrong:,} as expected, {wrong:,} not."
    )


def policy_document(tested: PolicyTest) -> dict[str, Any]:
    """The same as a document."""
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "PolicyTested",
        "passed": tested.passed,
        "policies": [
            {
                "policy": policy.policy,
                "samples": [
                    {
                        "file": sample.file,
                        "expected": sample.expected.value if sample.expected else None,
                        "passed": not sample.why,
                        "why": sample.why,
                    }
                    for sample in policy.samples
                ],
            }
            for policy in tested.policies
        ],
        "plan": tested.plan or None,
        "violations": [violation_document(item) for item in tested.violations],
    }


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
