"""Both services, their faults and their administration behind one port: the stand-in as it is served.

    socket ──► server ──► injector (faults, journal) ──► doors ──► LlamaCloud's, Talonic's, or no service's

Beside it one thread moves batches on, and another one tells those who asked for it. Everything is kept in one
database, so that several hosts on one file show the same things; faults and the journal of requests are each
host's own.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from reconciler.emulator import admin
from reconciler.emulator.clock import KeptClock
from reconciler.emulator.database import Database
from reconciler.emulator.doors import Doors
from reconciler.emulator.errors import DatabaseGoneError, DatabaseUnusableError
from reconciler.emulator.faults.active import ActiveFaults
from reconciler.emulator.faults.admin import FaultAdmin
from reconciler.emulator.faults.connections import Connections
from reconciler.emulator.faults.document import NO_FAULTS, FaultFile
from reconciler.emulator.faults.injector import Injector
from reconciler.emulator.faults.journal import Journal
from reconciler.emulator.faults.nullable import nullable_in
from reconciler.emulator.schemas import schema
from reconciler.emulator.server import Server
from reconciler.emulator.service import Service
from reconciler.emulator.talonic import app as talonic_app
from reconciler.emulator.talonic.batches import Batches as TalonicBatches
from reconciler.emulator.talonic.documents import Documents
from reconciler.emulator.talonic.routes import TalonicRoutes
from reconciler.emulator.webhooks.admin import WebhookAdmin
from reconciler.emulator.webhooks.outbox import Outbox
from reconciler.emulator.webhooks.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.applications import Starlette

    from reconciler.emulator.life.pace import Pace
    from reconciler.emulator.moments import Micros
    from reconciler.emulator.server import Listener
    from reconciler.emulator.talonic.pace import Pace as TalonicPace

_LOG = logging.getLogger("reconciler.emulator")
# How long a thread waits before it tries a database again that it could not use, in seconds.
_PAUSE = 1.0


class Host:
    """The stand-in of both services.

    Args:
        root: The folder whose sub-folders are source directories, if there is one.
        database: The SQLite file; it and its folder are made.
        configurations: The folder of saved configurations, if there is one.
        project_id: The one project that everything belongs to.
        api_key: The key of LlamaCloud's API.
        talonic_key: The key of Talonic's API.
        pace: How LlamaCloud's batches fare.
        talonic_pace: How Talonic's do.
        speed: Of the clock; None for 1, or for what the database has.
        offset: How far ahead of the machine's clock that of a new database starts.
        faults: What is to go wrong from the start.

    Raises:
        ClockSetError: if an offset is given, and the database's clock runs already.
        DatabaseTooNewError: if a later version wrote the database.
        DatabaseUnusableError: if the database cannot be made or used.

    Attributes:
        app: The ASGI application, faults included.
        connections: What a server of it has to be given.
    """

    def __init__(
        self,
        *,
        root: Path | None,
        database: Path,
        configurations: Path | None,
        project_id: str,
        api_key: str,
        talonic_key: str,
        pace: Pace,
        talonic_pace: TalonicPace,
        speed: float | None = None,
        offset: Micros | None = None,
        faults: FaultFile = NO_FAULTS,
    ) -> None:
        self._database = Database(database)
        clock = self._clock = KeptClock(self._database)
        clock.start(speed=speed, offset=offset)
        opened = database.stat()
        self._path, self._identity = database, (opened.st_dev, opened.st_ino)
        outbox = Outbox(self._database)
        self._sender = Sender(outbox)
        talonic = TalonicBatches(self._database, clock, talonic_pace)
        self._service = Service(
            root,
            database,
            configurations=configurations,
            project_id=project_id,
            api_key=api_key,
            clock=clock,
            pace=pace,
            others=[self._check_database, talonic.advance, self._sender.permit],
            outbox=outbox,
        )
        documents = Documents(self._database, clock, talonic_pace)
        routes = TalonicRoutes(batches=talonic, documents=documents, wake=self._service.wake).table()
        active, journal = ActiveFaults(faults), Journal(clock)
        self._doors = Doors(
            behind={
                "/api/": self._service.app,
                "/v1/": talonic_app.make_app(routes, api_key=talonic_key, clock=clock),
            },
            otherwise=admin.make_app(
                [
                    *admin.AdminRoutes(self._database, clock, self._service.wake).table(),
                    *FaultAdmin(active, journal, clock).routes(),
                    *WebhookAdmin(outbox).routes(),
                ],
                clock=clock,
            ),
        )
        self.connections = Connections()
        self.app = Injector(
            self._doors,
            active=active,
            journal=journal,
            clock=clock,
            lines=self.connections,
            nullable=nullable_in(schema("openapi")),
        )

    @property
    def services(self) -> list[Starlette]:
        """The applications of the two services."""
        return list(self._doors.behind.values())

    async def serve(self, listener: Listener, ready: Callable[[str], None]) -> int | None:
        """Serve, move batches on and tell of them, until a signal ends it; with its number.

        Raises:
            CannotListenError: if a fault had closed the listener and it could not be opened again.
            EmulatorError: if the database is gone, or documents cannot be read.
        """
        server = Server(self.app, listener=listener, connections=self.connections)
        stop, mute = threading.Event(), threading.Event()
        failures: list[BaseException] = []

        def begin(
            name: str, work: Callable[[threading.Event], None], end: threading.Event
        ) -> threading.Thread:
            def run() -> None:
                try:
                    self._keep_at(name, work, end)
                except BaseException as error:  # noqa: BLE001 - handed to the thread that serves
                    failures.append(self._reason(error))
                    server.stop()
                finally:
                    self._database.release()

            thread = threading.Thread(target=run, name=name)
            thread.start()
            return thread

        worker = begin("worker", lambda end: self._service.work(stop=end), stop)
        sender = begin("sender", self._sender.run, mute)
        try:
            return await server.serve(ready)
        finally:
            # First the sender: while the worker has its lock, no other process sends.
            mute.set()
            sender.join()
            stop.set()
            self._service.wake.set()
            worker.join()
            if failures:
                raise failures[0]

    def _keep_at(self, name: str, work: Callable[[threading.Event], None], end: threading.Event) -> None:
        """Do a thread's work until its end, also past a database that is locked or full for a while.

        Raises:
            DatabaseGoneError: there is none to wait for.
        """
        while not end.is_set():
            try:
                work(end)
            except (DatabaseUnusableError, sqlite3.Error) as error:
                self._check_database(0)
                _LOG.warning("the %s pauses: %s", name, error)
                end.wait(_PAUSE)

    def _reason(self, error: BaseException) -> BaseException:
        """What a thread ended with; without its database it can end with anything, and that is the reason."""
        try:
            self._check_database(0)
        except DatabaseGoneError as gone:
            return gone
        return error

    def _check_database(self, now: Micros) -> None:
        """See that the database is still the file that was opened.

        Raises:
            DatabaseGoneError: if it is not.
        """
        del now
        try:
            there = os.stat(self._path)  # noqa: PTH116 - asked ten times a second
        except OSError as error:
            raise DatabaseGoneError(self._path) from error
        if (there.st_dev, there.st_ino) != self._identity:
            raise DatabaseGoneError(self._path)

    def close(self) -> None:
        """Close the database. Call it when `serve` has returned."""
        self._service.close()
        self._database.close()
