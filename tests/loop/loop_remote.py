"""A git remote on this machine, whose branch somebody moves."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WHO = (
    *("-c", "user.name=somebody", "-c", "user.email=somebody@example.com"),
    *("-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"),
)


@dataclass
class Remote:
    """A bare repository, and a clone in which its commits are made."""

    folder: Path

    def __post_init__(self) -> None:
        self.address = str(self.folder / "remote.git")
        self.clone = self.folder / "clone"
        self.git("init", "--quiet", "--bare", self.address, where=self.folder)
        self.clone.mkdir()
        self.git("init", "--quiet")

    def git(self, *words: str, where: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *_WHO, *words], cwd=where or self.clone, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def push(self, files: Mapping[str, str | None], *, branch: str = "main", amend: bool = False) -> str:
        """Commit these files (None for none) and push them, over whatever is there; gives the commit."""
        for name, text in files.items():
            path = self.clone / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "something", *(["--amend"] if amend else []))
        self.git("push", "--quiet", "--force", self.address, f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")
