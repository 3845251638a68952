"""R15: whose limits there are, and what is protected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.gates import breaches, guarded
from reconciler.model.batch import Address, JobType, Key
from reconciler.model.manifest import BatchSet, ById, Job
from reconciler.model.plan import Action, ActionKind, Breach, Guarded, Reason, ReasonCode
from reconciler.model.project import Limits, Protection
from reconciler.model.source import Source

CREATE, CANCEL, KEEP = ActionKind.CREATE, ActionKind.CANCEL, ActionKind.KEEP


def action(address: str, kind: ActionKind = CREATE, files: int | None = 10, name: str = "") -> Action:
    where = Address.parse(address)
    return Action(
        kind=kind,
        address=where,
        key=Key("https://api.example", "prj", where.directory, JobType.PARSE_V2, "cfg-dear"),
        reason=Reason(ReasonCode.MISSING, "so it is"),
        files=files,
        directory_name=name,
    )


def a_set(name: str, limits: Limits | None = None, **labels: str) -> BatchSet:
    return BatchSet(
        name=name,
        provider="p",
        job=Job(JobType.PARSE_V2, ById("cfg-dear")),
        directories=(),
        source=Source("a.yaml"),
        digest=name,
        locate=lambda path, *, key=False: Source("a.yaml"),
        limits=limits or Limits(),
        labels=labels,
    )


ACTIONS = (action("a/d1"), action("a/d2"), action("b/d3"), action("a/d4", CANCEL), action("a/d5", KEEP))
SETS = {
    item.name: item for item in (a_set("a", team="x"), a_set("b", team="x"), a_set("c", team="y", cost="hi"))
}


@pytest.mark.parametrize(
    ("limits", "of_a", "told"),
    [
        (Limits(max_creates=3, max_files=30, max_cancels=1), Limits(), ()),
        (
            Limits(max_creates=2, max_files=29, max_cancels=0),
            Limits(),
            (Breach("maxCreates", 2, 3), Breach("maxFiles", 29, 30), Breach("maxCancels", 0, 1)),
        ),
        (Limits(), Limits(max_creates=2, max_files=20, max_cancels=1), ()),
        (
            Limits(),
            Limits(max_creates=1, max_files=19, max_cancels=0),
            (
                Breach("maxCreates", 1, 2, "set a"),
                Breach("maxFiles", 19, 20, "set a"),
                Breach("maxCancels", 0, 1, "set a"),
            ),
        ),
        (
            Limits(labels={("team", "y"): Limits(max_creates=0), ("team", "x"): Limits(max_creates=2)}),
            Limits(),
            (Breach("maxCreates", 2, 3, "label team=x"),),
        ),
        (
            Limits(max_creates=0, labels={("team", "x"): Limits(max_cancels=0)}),
            Limits(max_files=0),
            (
                Breach("maxCreates", 0, 3),
                Breach("maxFiles", 0, 20, "set a"),
                Breach("maxCancels", 0, 1, "label team=x"),
            ),
        ),
    ],
)
def test_the_project_s_the_sets_and_the_labels_limits_are_told_in_this_order(
    limits: Limits, of_a: Limits, told: tuple[Breach, ...]
) -> None:
    sets = SETS | {"a": replace(SETS["a"], limits=of_a)}
    assert tuple(breaches(ACTIONS, limits, sets)) == told
    assert tuple(breaches(ACTIONS[::-1], limits, dict(reversed(sets.items())))) == told


def test_what_is_no_longer_in_the_manifests_counts_for_the_project_alone() -> None:
    gone = action("gone/d9", CANCEL)
    assert tuple(breaches((gone,), Limits(max_cancels=0), SETS)) == (Breach("maxCancels", 0, 1),)


@pytest.mark.parametrize(
    ("directory", "configuration", "touched"),
    [
        ("d1", None, ["a/d1"]),
        ("d*", None, ["a/d1", "a/d2", "b/d3", "a/d4"]),
        ("legal-*", None, ["c/d7"]),
        ("D1", None, []),
        (None, "cfg-d*", ["a/d1", "a/d2", "b/d3", "a/d4", "c/d7"]),
        (None, "cfg", []),
    ],
)
def test_creates_and_cancels_on_what_is_protected_are_told(
    directory: str | None, configuration: str | None, touched: list[str]
) -> None:
    rule = Protection(directory, configuration, "reconciler.yaml:9:7")
    actions = (*ACTIONS, action("c/d7", name="legal-2026") if directory != "d*" else action("c/x"))
    found = list(guarded(actions, Limits(protected=(rule, rule))))
    assert [str(item.address) for item in found] == touched
    assert {item.source for item in found} <= {"reconciler.yaml:9:7"}


def test_a_protected_directory_is_called_by_its_name() -> None:
    rule = Protection("legal-*", None, "r:1:1")
    assert list(guarded((action("c/d7", name="legal-2026"),), Limits(protected=(rule,)))) == [
        Guarded(Address("c", "d7"), "directory legal-2026", "r:1:1")
    ]
