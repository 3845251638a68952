"""One project's round of `run`: load, plan, and apply where there is something to do and nothing against it.

The very functions that the commands call do it, each as its command would: `plan` takes no lock, `apply`
holds it from its own plan to its end (C1), so that of many processes with one state one acts, and the others
find the lock held and say so. Whose turn it is and when is the loop's.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.api.doing import apply, plan
from reconciler.api.files import load
from reconciler.api.house import house_of
from reconciler.api.running import PARALLELISM
from reconciler.core.rounds import is_incomplete, left_behind, open_creates, result_of, worth_applying
from reconciler.engine.gates import refused
from reconciler.model.errors import (
    LimitError,
    LockHeldError,
    PinError,
    SettingsError,
    StoppedError,
)
from reconciler.model.project import FileState
from reconciler.model.rounds import Happening, Round, RoundResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.engine.stop import Stop
    from reconciler.model.events import Event
    from reconciler.model.plan import Plan
    from reconciler.model.project import Project
    from reconciler.model.rounds import LoopListener, Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for the rounds of all projects.

    Attributes:
        approved: whether plans may be applied without asking.
        pause: while this file is there, nothing is applied; None for no such file.
        commit: what is checked out now, or "".
        fetched: whether the manifests come from a remote, so that no state may lie beside them.
        parallelism: how many requests may be under way at once.
        timeout: seconds that an apply may take, or None.
    """

    approved: bool
    pause: Path | None
    tell: LoopListener
    stop: Stop
    commit: Callable[[], str] = lambda: ""
    fetched: bool = False
    parallelism: int = PARALLELISM
    timeout: float | None = None

    @property
    def paused(self) -> bool:
        """Whether nothing is to be applied now. A file that cannot be looked for may well be there."""
        if self.pause is None:
            return False
        try:
            os.lstat(self.pause)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True


@dataclass(slots=True)
class ProjectRounds:
    """The rounds of one project.

    Attributes:
        folder: as the command line has it.
        place: where that is.
        terms: what holds for all of them.
        project: the project's name, once a round could read it.
    """

    folder: str
    place: Path
    terms: Terms
    project: str = ""

    def __post_init__(self) -> None:
        """Until its file was read, a project goes by its folder."""
        self.project = self.project or self.folder

    def unfetched(self, why: Why, error: Exception) -> Round:
        """The round that could not be held since the manifests could not be had.

        What was checked out before is neither planned nor applied: somebody may have taken back what it says.
        """
        lacks = "its manifests cannot be fetched"
        return self._round(why, RoundResult.ERROR, lacks=lacks, error=error)

    def round(self, why: Why) -> Round:
        """Hold one round. Whatever goes wrong is in what it gives."""
        began = time.monotonic()
        done = self._held(why)
        # It was this apply's time that was up: the next signal is the first, and stops nothing at once (C8).
        self.terms.stop.timed_out = False
        return replace(done, seconds=time.monotonic() - began)

    def _held(self, why: Why) -> Round:
        lacks = "its manifests cannot be read"
        made: Plan | None = None
        try:
            project = load(self.place)
            self.project = project.file.name
            self._refuse_state_in_checkout(project)
            lacks = ""
            made = plan(
                project, parallelism=self.terms.parallelism, listen=self._listen, stop=self.terms.stop
            )
            return self._acted(project, made, why)
        except LockHeldError as error:
            return self._round(why, RoundResult.STANDBY, made=made, error=error)
        except (LimitError, PinError) as error:
            return self._round(why, RoundResult.REFUSED, made=made, error=error)
        except StoppedError as error:
            ended = RoundResult.STOPPED if self.terms.stop.signal is not None else RoundResult.TIMED_OUT
            return self._round(why, ended, made=made, error=error)
        except Exception as error:  # noqa: BLE001 - no project stops another; what it was is told
            return self._round(why, RoundResult.ERROR, made=made, lacks=lacks, error=error)

    def _acted(self, project: Project, made: Plan, why: Why) -> Round:
        """Apply, or say why not."""
        lock, journal = house_of(project, None).store().read()
        behind = left_behind(journal)
        because = behind or worth_applying(made, {item.name: item.digest for item in project.sets}, lock)
        idle = RoundResult.INCOMPLETE if is_incomplete(made) else RoundResult.UNCHANGED
        if not because:
            return self._round(why, idle, made=made)
        if self.terms.paused:
            return self._round(why, RoundResult.PAUSED, made=made, because=because)
        if not self.terms.approved:
            return self._round(why, RoundResult.OBSERVED, made=made, because=because)
        # What is open comes before the plan (C7). Else no lock is needed to find that nothing may be done.
        if not behind and (error := refused(made, confirmed=False)):
            return self._round(why, RoundResult.REFUSED, made=made, because=because, error=error)
        paused = False

        def approve(_: Plan) -> bool:
            nonlocal paused
            paused = self.terms.paused
            return not paused

        applied = apply(
            project,
            approve=approve,
            parallelism=self.terms.parallelism,
            timeout=self.terms.timeout,
            listen=self._listen,
            stop=self.terms.stop,
        )
        result = RoundResult.PAUSED if paused else result_of(applied)
        done = self._round(why, result, made=applied.plan, because=because)
        return replace(done, applied=applied, unresolved=len(applied.unresolved))

    def _round(
        self,
        why: Why,
        result: RoundResult,
        *,
        made: Plan | None = None,
        because: str = "",
        lacks: str = "",
        error: Exception | None = None,
    ) -> Round:
        return Round(
            project=self.project,
            folder=self.folder,
            result=result,
            why=why,
            lacks=lacks,
            commit=self.terms.commit(),
            plan=made,
            unresolved=open_creates(made) if made is not None else 0,
            because=because,
            error=error,
        )

    def _refuse_state_in_checkout(self, project: Project) -> None:
        if self.terms.fetched and isinstance(project.file.state, FileState):
            raise SettingsError(
                "the state of this project is a file, and its manifests are fetched from a remote",
                where=str(project.file.locate(("spec", "state"))),
                why="the file would lie in a checkout that is no branch of anybody's, and be lost with it",
                next="Keep the state in PostgreSQL or an object store: `reconciler state migrate` moves it",
            )

    def _listen(self, event: Event) -> None:
        self.terms.tell(Happening(self.project, event))
