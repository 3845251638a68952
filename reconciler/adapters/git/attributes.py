"""What has git merge the lockfile by our rules: lines in ``.gitattributes``, and settings of the clone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.adapters.git.program import Git

FILE = ".gitattributes"

#: The merge driver's name, and the settings that git wants of it.
DRIVER = "reconciler"
COMMAND = "reconciler lock merge %O %A %B %P"

_SPECIAL = re.compile(r"([\\*?\[\]])")


def pattern(path: str) -> str:
    """The pattern of exactly this path, relative to the folder of the file that it stands in."""
    escaped = "/" + _SPECIAL.sub(r"\\\1", path)
    if re.fullmatch(r"[!-~]+", escaped) and '"' not in escaped:
        return escaped
    quoted = escaped.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def wanted_lines(lockfile: str) -> tuple[str, ...]:
    """The lines for a lockfile and for the audit log, whose hashes no change of line ends may break."""
    return (f"{pattern(lockfile)} merge={DRIVER} -text", "/audit/* -text")


def install(git: Git, folder: Path, lockfile: str) -> list[str]:
    """Have git merge a project's lockfile by our rules, in this clone and in those that take the file over.

    Args:
        git: git in the project's folder.
        folder: that folder.
        lockfile: the lockfile, relative to it.

    Returns:
        What was done, in sentences; nothing where all was done already.

    Raises:
        SettingsError: the file cannot be written.
        StateError: git refused the setting.
    """
    done = []
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
        missing = [line for line in wanted_lines(lockfile) if line not in text.splitlines()]
        if missing:
            with path.open("a", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                file.write("\n" if text and not text.endswith("\n") else "")
                file.writelines(f"{line}\n" for line in missing)
            done += [f"Added to {FILE}: {line}" for line in missing]
            done.append(
                f"Commit {FILE}: other clones have it then, and need this command once, for the settings."
            )
    except OSError as error:
        raise SettingsError(f"{FILE} cannot be written", where=str(path), why=error.strerror or "") from error
    for name, value in (
        (f"merge.{DRIVER}.name", "reconciler's lockfile"),
        (f"merge.{DRIVER}.driver", COMMAND),
    ):
        if git.ask("config", "--local", "--get-all", name).out.splitlines() != [value]:
            what = "the merge driver cannot be set up"
            git.must("config", "--local", "--replace-all", name, value, what=what)
            done.append(f"Set in this clone: {name} = {value}")
    return done
