"""What ``init`` writes is a valid project, and nothing of anybody's is overwritten."""

# ruff: noqa: E501 - messages are compared whole, and read best on one line each

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.adapters.manifests import find_manifests, read_manifest
from reconciler.adapters.scaffold import write_project
from reconciler.adapters.schemas import manifest_schemas
from reconciler.core.validate import validate_manifests, validate_project
from reconciler.model.batch import JobType
from reconciler.model.errors import SettingsError
from reconciler.model.manifest import ById, Job
from reconciler.model.project import LocalProvider

if TYPE_CHECKING:
    from pathlib import Path

FILES = ["reconciler.yaml", "batches/documents.yaml", "documents/example/welcome.txt"]


def test_the_project_is_valid_as_written(tmp_path: Path) -> None:
    assert write_project(tmp_path / "new") == [*FILES, ".gitignore"]
    folder = tmp_path / "new"
    documents, faults = read_manifest(folder, "reconciler.yaml")
    project, more = validate_project(documents, manifest_schemas(), file="reconciler.yaml")
    assert (faults, more) == ((), ())
    assert project is not None
    assert project.providers == {"local": LocalProvider(name="local", root="documents")}
    files, warnings = find_manifests(folder, project.manifests, place=lambda _: project.source)
    assert (files, warnings) == (["batches/documents.yaml"], ())
    found, faults = read_manifest(folder, files[0])
    manifests = validate_manifests(found, project, manifest_schemas())
    assert (faults, manifests.diagnostics) == ((), ())
    [wanted] = manifests.sets
    assert wanted.job == Job(JobType.PARSE_V2, ById("cfg-PARSE_AGENTIC"))
    assert wanted.directories == (ById("dir-example"),)
    assert (folder / "documents/example").is_dir()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_there_stops_everything(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(SettingsError) as raised:
        write_project(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}: {name} exists already. Nothing was written; choose another folder, or move the file away"
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "reconciler.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=r"reconciler\.yaml exists already"):
        write_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["reconciler.yaml"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("*.pyc\n", "*.pyc\n.reconciler/\n*.lock.journal\n", [".gitignore"]),
        ("*.pyc", "*.pyc\n.reconciler/\n*.lock.journal\n", [".gitignore"]),
        (".reconciler/\n", ".reconciler/\n*.lock.journal\n", [".gitignore"]),
        ("*.lock.journal\n.reconciler/\n", "*.lock.journal\n.reconciler/\n", []),
    ],
)
def test_lines_are_added_to_a_gitignore(tmp_path: Path, before: str, after: str, told: list[str]) -> None:
    (tmp_path / ".gitignore").write_text(before)
    assert write_project(tmp_path) == [*FILES, *told]
    assert (tmp_path / ".gitignore").read_text() == after


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as raised:
        write_project(tmp_path / "file")
    assert str(raised.value) == f"{tmp_path}/file: the project cannot be written: File exists"
