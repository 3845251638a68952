"""What ``reconciler init`` writes: a small project that validates, plans and applies as it stands.

It uses the embedded provider, so that it needs no key and no network. Nothing that exists is changed,
except that lines are added to a ``.gitignore``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

_PROJECT = """\
# What this project reconciles, and where. `reconciler schema Project` describes every key.
apiVersion: reconciler/v1
kind: Project
metadata:
  name: my-documents
spec:
  # Which files are manifests, relative to this file.
  manifests: ["batches/**/*.yaml"]

  # The services that batches run on; manifests refer to them by these names.
  providers:
    # Runs inside reconciler and needs no key: each folder under `root` is a source directory.
    local:
      type: local
      root: documents

    # A LlamaCloud project. The key itself never stands in a file, only the variable that holds it.
    # prod:
    #   type: llamacloud
    #   projectId: prj-...          # left out: the project that the key belongs to
    #   apiKey: {env: LLAMA_CLOUD_API_KEY}
    #   settle: 30s                 # how long a new batch may take to be listed

  # What stands is recorded here. Commit this file.
  state:
    type: file
    path: reconciler.lock

  # A plan that goes past a limit is not applied, unless its digest is confirmed.
  limits:
    maxCreates: 50
    maxCancels: 0
"""

_BATCHES = """\
# One job over many directories: each directory becomes one batch, documents/dir-example.
# `reconciler schema BatchSet` describes every key.
apiVersion: reconciler/v1
kind: BatchSet
metadata:
  name: documents
spec:
  provider: local
  job:
    type: parse_v2
    configuration: cfg-PARSE_AGENTIC
  directories:
    # With the local provider the folder documents/example has the id dir-example.
    - id: dir-example

  # When a batch that exists does not count any more. All of it may be left out.
  # rerun:
  #   after: 2026-11-01T00:00:00Z   # a batch created earlier does not count
  #   maxAge: 30d                   # nor does one that is older
  #   onFailed: {maxAttempts: 3}
  #   onInputChange: rerun          # nor one whose files have changed
"""

_EXAMPLE = """\
This is the first document of your project.

`reconciler plan` shows that its directory has no batch yet, and `reconciler apply` creates one.
Put files beside this one, or make a new folder under documents/ and name it in batches/documents.yaml.
"""

_FILES = {
    "reconciler.yaml": _PROJECT,
    "batches/documents.yaml": _BATCHES,
    "documents/example/welcome.txt": _EXAMPLE,
}
_IGNORED = ".gitignore"
_IGNORED_LINES = (".reconciler/", "*.lock.journal")


def write_project(folder: Path) -> list[str]:
    """Write a project to begin with.

    Args:
        folder: where; it is made if it does not exist.

    Returns:
        The files that were written or added to, relative to the folder.

    Raises:
        SettingsError: a file that would be written exists already, or cannot be written. In the first
            case nothing was written at all.
    """
    there = [name for name in _FILES if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise SettingsError(
            f"{', '.join(there)} exists already",
            where=str(folder),
            next="Nothing was written; choose another folder, or move the file away",
        )
    try:
        for name, text in _FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        ignored = _add_ignored(folder)
    except OSError as error:
        where = str(error.filename or folder)
        raise SettingsError("the project cannot be written", where=where, why=error.strerror or "") from error
    return [*_FILES, *ignored]


def _add_ignored(folder: Path) -> list[str]:
    path = folder / _IGNORED
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    missing = [line for line in _IGNORED_LINES if line not in text.splitlines()]
    if not missing:
        return []
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write("\n" if text and not text.endswith("\n") else "")
        file.writelines(f"{line}\n" for line in missing)
    return [_IGNORED]
