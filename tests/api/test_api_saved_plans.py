"""Plans in files: what is read is what was written, and everything else is refused in one sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import api
from reconciler.model.batch import Address, JobType, Key
from reconciler.model.canonical import digest
from reconciler.model.document import plan_document
from reconciler.model.errors import SettingsError
from reconciler.model.plan import Action, ActionKind, Plan, Reason, ReasonCode

if TYPE_CHECKING:
    from pathlib import Path

_EDITED = "the plan was changed after it was written"


def _action(directory: str, kind: ActionKind) -> Action:
    key = Key("local:documents", "prj", directory, JobType.PARSE_V2, "cfg")
    return Action(
        kind=kind, address=Address("set", directory), key=key, reason=Reason(ReasonCode.MISSING, "missing")
    )


PLAN = Plan(
    actions=(_action("dir-a", ActionKind.CREATE), _action("dir-b", ActionKind.KEEP)),
    lineage="line",
    state="sha256:1",
    manifests="sha256:2",
    targets=("set",),
)


def _resealed(document: dict[str, Any]) -> str:
    """As somebody writes it who knows how a plan's own digest is made."""
    content = {name: value for name, value in document.items() if name != "selfDigest"}
    return json.dumps({**content, "selfDigest": digest(content)})


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    own = api.save_plan(file, plan_document(PLAN))
    saved = api.read_plan(file)
    assert (saved.own, saved.digest, saved.targets) == (own, PLAN.digest, ("set",))
    assert [(item.kind, item.address) for item in saved.actions] == [
        ("create", "set/dir-a"),
        ("keep", "set/dir-b"),
    ]
    file.write_text(_resealed({**json.loads(file.read_text()), "ofANewerVersion": {"x": 1}}))
    assert api.read_plan(file).actions == saved.actions


def test_a_reviewed_digest_stands_for_these_actions_alone(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    api.save_plan(file, plan_document(PLAN))
    document = json.loads(file.read_text())
    more = {**document, "actions": [{**item, "action": "create"} for item in document["actions"]]}
    fewer = {**document, "actions": document["actions"][1:]}
    named = {**document, "digest": "sha256:0"}
    for edited in (more, fewer, named):
        file.write_text(_resealed(edited))
        with pytest.raises(SettingsError) as raised:
            api.read_plan(file)
        assert (raised.value.what, raised.value.why) == (
            _EDITED,
            "its actions are not those that its digest names",
        )


def test_a_key_that_stands_twice_is_not_read_in_two_ways(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    api.save_plan(file, plan_document(PLAN))
    text = file.read_text()
    file.write_text(text.replace('"actions": [', '"actions": [], "actions": [', 1))
    with pytest.raises(SettingsError) as raised:
        api.read_plan(file)
    assert (raised.value.what, raised.value.why) == ("this is no plan", "a key stands twice in one object")
