"""`policy test`: policies held against the samples beside them, or against one plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.adapters.manifests import read_json_file
from reconciler.adapters.schemas import load_schema
from reconciler.api.reading import read_policies, read_policy, read_project_file
from reconciler.model.errors import ManifestError, SettingsError
from reconciler.model.policy_test import PolicyResult, PolicyTest, SampleResult
from reconciler.model.source import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jsonschema.protocols import Validator

    from reconciler.model.project import Policy
    from reconciler.model.source import Diagnostic

#: The folder of a policy's samples, beside it, is called like it, with this instead of its ``.json``.
SAMPLES = ".tests"


def try_policies(folder: Path, paths: Sequence[str], plan: str | None) -> PolicyTest:
    """Hold policies against their samples, or against a plan.

    Args:
        folder: the project's folder.
        paths: the policies' files; those that the project file names by default.
        plan: a plan's document, as `plan --format json` or `plan --out` writes it.

    Raises:
        ManifestError: a policy or the project file has faults.
        SettingsError: there are no policies, or the plan cannot be read.
    """
    policies = _policies(folder, paths)
    if plan is not None:
        from reconciler.core.policies import violations

        found = violations(_plan(folder, plan), policies)
        return PolicyTest(
            policies=tuple(PolicyResult(p.file, ()) for p in policies), plan=plan, violations=found
        )
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(load_schema("plan"))
    return PolicyTest(
        policies=tuple(PolicyResult(p.file, tuple(_samples(folder, p, validator))) for p in policies)
    )


def _policies(folder: Path, paths: Sequence[str]) -> list[Policy]:
    policies: list[Policy] = []
    diagnostics: list[Diagnostic] = []
    if paths:
        for path in sorted(set(paths)):
            policy, told = read_policy(folder, path)
            policies += [] if policy is None else [policy]
            diagnostics += told
    else:
        file, told = read_project_file(folder)
        if file is None:
            raise ManifestError(told)
        found, told = read_policies(folder, file)
        policies, diagnostics = list(found), list(told)
    if errors := [item for item in diagnostics if item.severity is Severity.ERROR]:
        raise ManifestError(sorted(errors))
    if not policies:
        raise SettingsError(
            "there are no policies to test",
            where="reconciler.yaml",
            next='Name them there, as `policies: ["policies/*.json"]` under spec, or give their files here',
        )
    return policies


def _samples(folder: Path, policy: Policy, validator: Validator) -> Iterator[SampleResult]:
    from reconciler.core.policy_samples import judged_sample

    place = Path(policy.file)
    beside = place.with_name(place.name.removesuffix(".json") + SAMPLES)
    try:
        names = sorted(path.name for path in (folder / beside).iterdir() if path.suffix == ".json")
    except OSError:
        return
    for name in names:
        file = (beside / name).as_posix()
        document, told = read_json_file(folder, file)
        if document is None:
            yield SampleResult(file, None, "; ".join(str(item) for item in told))
        else:
            yield judged_sample(policy, file, document.value, validator)


def _plan(folder: Path, name: str) -> dict[str, Any]:
    document, told = read_json_file(folder, name)
    if document is None:
        raise ManifestError(told)
    value = dict(document.value)
    version = value.get("formatVersion")
    if value.get("kind") != "Plan" or not isinstance(version, str) or version.partition(".")[0] != "1":
        raise SettingsError(
            "this is no plan", where=name, next="`reconciler plan --format json > FILE` writes one"
        )
    value.pop("selfDigest", None)
    return value | {"violations": []}  # they are what is asked here
