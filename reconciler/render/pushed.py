"""What pushing the lockfile came to, for people; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from reconciler.model.pushed import Pushed


def pushed_lines(pushed: Pushed) -> list[str]:
    """What there is to say, a line each."""
    where = f"{pushed.remote}/{pushed.branch}"
    if not pushed.commit:
        return [harmless(f"Nothing to push: {where} has the lockfile as it is here.")]
    files = f"{len(pushed.files)} file{'' if len(pushed.files) == 1 else 's'}"
    said = f"committed {files} and pushed" if pushed.files else "pushed what was committed before"
    moved = f", merged with what {where} had by then" if pushed.rebased else ""
    return [harmless(f"Pushed to {where}: {said}{moved}, and {where} has it ({pushed.commit[:12]}).")]
