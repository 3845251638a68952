"""What testing policies came to: each sample beside a policy, and what it was expected to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.plan import Level

if TYPE_CHECKING:
    from reconciler.model.plan import Violation


class Expected(StrEnum):
    """What a policy is to make of a sample."""

    PASS = "pass"  # noqa: S105 - a word for what comes out
    WARN = "warn"
    FAIL = "fail"


class SampleResult(NamedTuple):
    """One sample, held against its policy.

    Attributes:
        file: the sample's file.
        expected: what was expected; None where it could not be read.
        why: what is otherwise than expected, or "".
    """

    file: str
    expected: Expected | None
    why: str


class PolicyResult(NamedTuple):
    """One policy and its samples, sorted by file."""

    policy: str
    samples: tuple[SampleResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTest:
    """All policies that were tested, sorted by file.

    Attributes:
        plan: the plan's file that they were held against instead, or "".
        violations: those of that plan.
    """

    policies: tuple[PolicyResult, ...]
    plan: str = ""
    violations: tuple[Violation, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every sample is as expected, and the plan violates nothing."""
        wrong = any(sample.why for policy in self.policies for sample in policy.samples)
        return not wrong and not any(item.level is Level.ERROR for item in self.violations)
