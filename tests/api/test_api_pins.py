"""R13 through the library: which pins an upgrade moves, and what a listing that comes short does to them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import ActionKind, ManifestError, apply, load, plan
from reconciler.adapters.providers.llamacloud import LlamaCloud
from reconciler.api import cancel, upgrade

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from reconciler.model.batch import Directory

_QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every set chooses by a pattern, and was applied."""
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns("reconciler.lock*", "audit", ".reconciler")
    shutil.copytree(_QUICKSTART, folder, ignore=ignored)
    for name in ("invoices", "receipts"):
        path = folder / "batches" / f"{name}.yaml"
        head = path.read_text().partition("  directories:")[0]
        path.write_text(f'{head}  onRemove: cancel\n  directories: [{{match: "{name}*"}}]\n')
    apply(load(folder))
    return folder


def _come_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listing of directories is empty, which the stand-in cannot be made to say."""

    async def nothing(_: LlamaCloud, name: str | None = None) -> AsyncIterator[Directory]:
        none: tuple[Directory, ...] = ()
        for found in none:
            yield found

    monkeypatch.setattr(LlamaCloud, "directories", nothing)


def _kinds(folder: Path) -> list[ActionKind]:
    return [action.kind for action in plan(load(folder)).actions]


def test_a_listing_that_comes_short_forgets_nothing_also_when_the_pattern_is_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "batches" / "invoices.yaml"
    path.write_text(path.read_text().replace('"invoices*"', '"invoices-*"'))
    _come_short(monkeypatch)
    assert _kinds(folder) == [ActionKind.KEEP] * 3


def test_a_listing_that_comes_short_makes_an_upgrade_leave_no_directory_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _come_short(monkeypatch)
    assert upgrade(load(folder)) == ()
    assert _kinds(folder) == [ActionKind.KEEP] * 3


def test_an_upgrade_of_one_set_leaves_the_pins_of_others_as_they_are(folder: Path) -> None:
    for name in ("invoices-2026-11", "receipts-2"):
        shutil.copytree(folder / "documents" / "receipts", folder / "documents" / name)
    assert upgrade(load(folder), ["receipts"]) == ("receipts: match receipts* → dir-receipts-2 is new",)
    assert upgrade(load(folder)) == ("invoices: match invoices* → dir-invoices-2026-11 is new",)


def test_a_set_that_is_called_otherwise_keeps_its_names_until_they_are_upgraded(folder: Path) -> None:
    """R11: whoever has the configuration's name by now, the batches stand under their new addresses."""
    path = folder / "batches" / "invoices.yaml"
    path.write_text(path.read_text().replace("cfg-invoice-fields", "{name: invoice-fields}"))
    assert _kinds(folder) == [ActionKind.KEEP] * 3
    apply(load(folder))
    saved = folder / "configurations"
    (saved / "invoice-fields.yaml").rename(saved / "newer.yaml")
    (saved / "newer.yaml").write_text(
        (saved / "newer.yaml").read_text().replace("name: invoice-fields", "name: newer")
    )
    path.write_text(
        path.read_text().replace("{name: invoices}", "{name: bills}").replace("name: invoices", "name: bills")
    )
    assert _kinds(folder) == [ActionKind.MOVE] * 2 + [ActionKind.KEEP]
    with pytest.raises(
        ManifestError, match="no saved configuration for extract_v2 is named 'invoice-fields'"
    ):
        upgrade(load(folder), ["bills"])


def test_a_name_that_stands_for_nothing_keeps_nobody_from_cancelling(folder: Path) -> None:
    path = folder / "batches" / "receipts.yaml"
    path.write_text(path.read_text().replace("cfg-PARSE_AGENTIC", "{name: nothing}"))
    with pytest.raises(ManifestError, match="no saved configuration for parse_v2 is named 'nothing'"):
        plan(load(folder))
    cancelling = cancel(load(folder), "invoices/dir-invoices-2026-09")
    assert not cancelling.asked  # it had ended; that was looked for, and not refused


def test_a_name_whose_directory_went_is_blocked_with_the_way_to_the_one_that_has_it_now(folder: Path) -> None:
    path = folder / "batches" / "receipts.yaml"
    path.write_text(path.read_text().replace('match: "receipts*"', "name: receipts"))
    apply(load(folder))
    (folder / "documents" / "receipts").rename(folder / "elsewhere")
    path.write_text(path.read_text() + "  rerun: {after: 2026-01-01T00:00:00Z}\n")
    [entry] = [item for item in plan(load(folder)).actions if item.address.set == "receipts"]
    assert entry.kind is ActionKind.KEEP  # what stands needs no directory
    path.write_text(path.read_text().replace("cfg-PARSE_AGENTIC", "cfg-PARSE_FAST"))
    [blocked] = [item for item in plan(load(folder)).actions if item.kind is ActionKind.BLOCKED]
    assert blocked.reason.text.endswith(
        "; `reconciler lock --upgrade` looks up anew what its name stands for"
    )
