"""The stand-in as one object: wires the rooms together, and is what an owner holds."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

from reconciler.emulator.database import Database
from reconciler.emulator.errors import DatabaseUnusableError
from reconciler.emulator.life.pace import Pace
from reconciler.emulator.llamacloud.app import ProjectRoutes, make_app
from reconciler.emulator.llamacloud.batch_routes import BatchRoutes
from reconciler.emulator.llamacloud.batches import Batches
from reconciler.emulator.llamacloud.configuration_routes import ConfigurationRoutes
from reconciler.emulator.llamacloud.configurations import Configurations
from reconciler.emulator.llamacloud.directories import Directories
from reconciler.emulator.llamacloud.directory_routes import DirectoryRoutes
from reconciler.emulator.moments import system_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from starlette.applications import Starlette

    from reconciler.emulator.life.worker import Worker
    from reconciler.emulator.moments import Clock, Micros
    from reconciler.emulator.webhooks.outbox import Outbox

_AT_ONCE = Pace()


class Service:
    """The stand-in: documents in folders, batches in SQLite.

    Args:
        root: The folder whose sub-folders are the source directories, if there is one.
        database: The SQLite file. It and its folder are made by the first create or worker; results
            are written to `<database>.results/<batch id>/`. One database belongs to one root.
        configurations: The folder of saved configurations, if there is one.
        project_id: The one project that everything belongs to.
        api_key: The key that requests must carry; None asks for none.
        clock: Microseconds since 1970; the machine's by default.
        pace: How fast batches go, and how they end; by default at once, and as their documents let them.
        others: What else the worker moves on, each called with the time whenever it looks.
        outbox: Where it is kept what clients asked to be told of; without one, nobody is told.

    Raises:
        DatabaseTooNewError: if a later version wrote the database.
        DatabaseUnusableError: if the file is there and is no database of ours.

    Attributes:
        app: The ASGI application. It has no lifespan to run.
        wake: Set it when something became due that the worker did not see coming.
    """

    app: Starlette

    def __init__(
        self,
        root: Path | None,
        database: Path,
        *,
        configurations: Path | None = None,
        project_id: str = "prj-local",
        api_key: str | None = None,
        clock: Clock = system_clock,
        pace: Pace = _AT_ONCE,
        others: Sequence[Callable[[Micros], object]] = (),
        outbox: Outbox | None = None,
    ) -> None:
        self._path = database
        self._clock = clock
        self.wake = threading.Event()
        self._database = Database(database)
        self._database.reader()
        self._pace = pace
        self._others = others
        self._outbox = outbox
        self._batches = Batches(self._database, clock, pace, outbox=outbox)
        uploads = database.with_name(f"{database.name}.uploads")
        self._directories = Directories(root, self._database, clock, uploads=uploads)
        saved = Configurations(configurations, self._database, clock)
        routes = [
            *BatchRoutes(
                project_id=project_id,
                directories=self._directories,
                configurations=saved,
                batches=self._batches,
                clock=clock,
                wake=self.wake,
            ).table(),
            *DirectoryRoutes(project_id=project_id, directories=self._directories).table(),
            *ConfigurationRoutes(saved).table(),
            *ProjectRoutes(project_id).table(),
        ]
        self.app = make_app(routes, project_id=project_id, api_key=api_key, clock=clock)

    def work(self, *, stop: threading.Event) -> None:
        """Process batches in this thread until `stop` is set.

        Of several workers on one database, also in other processes, one works and the others wait for
        its end. A batch that a killed worker left is carried on; a file that was mapped is not read again.

        Raises:
            EmulatorError: if the database cannot be used.
        """
        worker = self.worker()
        try:
            worker.run(stop, self.wake)
        except sqlite3.Error as error:
            raise DatabaseUnusableError(self._path, str(error)) from error
        finally:
            self._database.release()

    def worker(self) -> Worker:
        """Make a worker for this service's batches, for one thread."""
        # Late: who only reads needs no process control.
        from reconciler.emulator.life.moves import Moves
        from reconciler.emulator.life.worker import Worker

        moves = Moves(self._database, self._pace, outbox=self._outbox)
        return Worker(self._path, self._directories, moves, self._pace, self._clock, others=self._others)

    def close(self) -> None:
        """Close the database. Call it when `work` has returned and no request is on its way."""
        self._database.close()
