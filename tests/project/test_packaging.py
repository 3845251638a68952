"""The project as it is installed: as a wheel, and in place."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def _run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An environment of its own, which sees this one's dependencies but not the project installed in it.

    A path in a .pth file is added as it is; the .pth files in that folder, through which the project is
    installed in place here, are not read.
    """
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(
        _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    )
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _install(python: Path, what: object, *options: str) -> None:
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    )
    _run(*pip, *options, what, cwd=python.parent)


def _validates(python: Path, folder: Path) -> None:
    project = folder / "project"
    _run(python, "-m", "reconciler", "init", project, cwd=folder)
    assert _run(python.parent / "reconciler", "validate", cwd=project) == "Valid.\n"
    assert '"title": "BatchSet"' in _run(python, "-m", "reconciler", "schema", "BatchSet", cwd=folder)
    _run(python, "-m", "reconciler", "report", "--offline", cwd=project)
    assert "<style>:root" in (project / "report.html").read_text()


def test_a_wheel_that_is_installed_elsewhere_validates(elsewhere: Path, tmp_path: Path) -> None:
    _run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, _ROOT, cwd=tmp_path
    )
    (wheel,) = tmp_path.glob("batch_reconciler-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"reconciler/py.typed", "reconciler/schemas/batch-set.json"} <= set(names)
    page = {"report.css", "report.js", "marks.svg"}
    assert {f"reconciler/render/report/{name}" for name in page} <= set(names)
    assert {"reconciler/provider.py", "reconciler/testing/__init__.py"} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "examples"))]
    _install(elsewhere, wheel)
    where = _run(elsewhere, "-c", "import reconciler; print(reconciler.__file__)", cwd=tmp_path)
    assert where.startswith(str(tmp_path))
    _validates(elsewhere, tmp_path)


def test_an_editable_install_validates(elsewhere: Path, tmp_path: Path) -> None:
    _install(elsewhere, _ROOT, "--editable")
    where = _run(elsewhere, "-c", "import reconciler; print(reconciler.__file__)", cwd=tmp_path)
    assert where.startswith(str(_ROOT))
    _validates(elsewhere, tmp_path)
