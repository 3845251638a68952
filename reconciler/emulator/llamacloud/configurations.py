"""Saved configurations: what a batch may be run with, from files, from presets, and from the API.

What the API saves are rows, one for each name and product type: saving again replaces the content behind
the same id, with a later version. What a file or a preset says cannot be changed through the API.
"""

from __future__ import annotations

import heapq
import itertools
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.emulator.errors import Refused
from reconciler.emulator.llamacloud.configuration_files import Configuration, ConfigurationFiles, preset
from reconciler.emulator.validation import short

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.emulator.database import Database
    from reconciler.emulator.llamacloud.bodies import CreateBatch, SaveConfiguration, UpdateConfiguration
    from reconciler.emulator.llamacloud.directory_rows import Mark
    from reconciler.emulator.moments import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigurationFilters:
    """Which configurations to list; no `types` are all of them."""

    name: str | None = None
    types: tuple[str, ...] = ()


class Configurations:
    """The presets, the files of one folder (or of none), and the rows of one database.

    Every method raises `Refused` (400) when the folder or a file that it needs cannot be used.
    """

    def __init__(self, folder: Path | None, database: Database, clock: Clock) -> None:
        self._files = ConfigurationFiles(folder)
        self._database = database
        self._clock = clock

    def page(
        self, filters: ConfigurationFilters, after: Mark | None, size: int
    ) -> tuple[list[Configuration], Mark | None]:
        """Give up to `size`, by name and id, without presets; with what the next page goes on after."""
        connection = self._database.reader()
        rows = [] if connection is None else _page(connection, filters, after, size + 1)
        files = sorted(
            (
                item
                for item in self._files.saved(filters.name)
                if (not filters.types or item.product_type in filters.types)
                and (after is None or _mark(item) > after)
            ),
            key=_mark,
        )
        # One more than asked for shows whether there is a next page.
        found = list(itertools.islice(heapq.merge(rows, files, key=_mark), size + 1))
        return found[:size], _mark(found[size - 1]) if len(found) > size else None

    def get(self, configuration_id: str) -> Configuration | None:
        """Give a configuration by id, or None."""
        return preset(configuration_id) or self._row(configuration_id) or self._files.get(configuration_id)

    def for_create(self, request: CreateBatch) -> Configuration:
        """Give the configuration that a batch's create names.

        Raises:
            Refused: 404 when there is none, 400 when it is of another type or its file cannot be used.
        """
        configuration = self.get(request.configuration_id)
        if configuration is None:
            raise Refused(404, f"Configuration {short(request.configuration_id)} not found")
        if configuration.product_type != request.job_type:
            raise Refused(
                400,
                f"Configuration {short(request.configuration_id)} is for {configuration.product_type}"
                f" and cannot be used for a job of type {request.job_type}",
            )
        return configuration

    def save(self, wanted: SaveConfiguration) -> Configuration:
        """Add a configuration, or replace the content of the one of this name and type.

        Raises:
            Refused: 409, when a file or a preset has the name.
        """
        self._refuse_fixed(wanted.name, wanted.product_type)
        with self._database.transaction() as connection:
            old = _named(connection, wanted.name, wanted.product_type)
            if old is not None:
                return self._write(connection, old, wanted.name, wanted.parameters)
            now = self._clock()
            new = Configuration(
                id=f"cfg-{uuid.uuid4()}",
                name=wanted.name,
                product_type=wanted.product_type,
                parameters=wanted.parameters,
                version=now,
                updated=now,
                created=now,
            )
            connection.execute(
                "INSERT INTO configurations (id, name, product_type, parameters, version_us, created_us)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (new.id, new.name, new.product_type, json.dumps(new.parameters), now, now),
            )
            return new

    def update(self, configuration_id: str, wanted: UpdateConfiguration) -> Configuration | None:
        """Change a configuration; None when there is none.

        Raises:
            Refused: 409, when it is a file or a preset, its new name is taken, or its type would change.
        """
        old = self._changeable(configuration_id)
        if old is None or (wanted.name is None and wanted.parameters is None):
            return old
        name = old.name if wanted.name is None else wanted.name
        parameters = wanted.parameters
        if parameters is not None and parameters["product_type"] != old.product_type:
            raise Refused(
                409,
                f"Configuration {short(configuration_id)} is for {old.product_type}"
                f" and stays so: save one for {parameters['product_type']} instead",
            )
        if name != old.name:
            self._refuse_fixed(name, old.product_type)
        with self._database.transaction() as connection:
            old = self._row(configuration_id)
            if old is None:
                return None
            other = _named(connection, name, old.product_type)
            if other is not None and other.id != old.id:
                raise Refused(
                    409,
                    f"Configuration {short(other.id)} for {old.product_type}"
                    f" has the name {short(name)} already",
                )
            return self._write(connection, old, name, old.parameters if parameters is None else parameters)

    def delete(self, configuration_id: str) -> Configuration | None:
        """Delete a configuration; None when there is none. A batch that was created with it goes on.

        Raises:
            Refused: 409, when it is a file or a preset.
        """
        if self._changeable(configuration_id) is None:
            return None
        with self._database.transaction() as connection:
            old = self._row(configuration_id)
            connection.execute("DELETE FROM configurations WHERE id = ?", (configuration_id,))
        return old

    def _write(
        self, connection: sqlite3.Connection, old: Configuration, name: str, parameters: Mapping[str, object]
    ) -> Configuration:
        # A version differs from the one before, whatever the clock says.
        version = max(self._clock(), old.version + 1)
        connection.execute(
            "UPDATE configurations SET name = ?, parameters = ?, version_us = ? WHERE id = ?",
            (name, json.dumps(parameters), version, old.id),
        )
        row = connection.execute("SELECT * FROM configurations WHERE id = ?", (old.id,)).fetchone()
        return _configuration(row)

    def _row(self, configuration_id: str) -> Configuration | None:
        connection = self._database.reader()
        if connection is None:
            return None
        row = connection.execute("SELECT * FROM configurations WHERE id = ?", (configuration_id,)).fetchone()
        return None if row is None else _configuration(row)

    def _changeable(self, configuration_id: str) -> Configuration | None:
        row = self._row(configuration_id)
        if row is None:
            fixed = preset(configuration_id) or self._files.get(configuration_id)
            if fixed is not None:
                self._refuse_fixed(fixed.name, fixed.product_type)
        return row

    def _refuse_fixed(self, name: str, product_type: str) -> None:
        built_in = preset(f"cfg-{name}")
        if built_in is not None and built_in.product_type == product_type:
            raise Refused(409, f"Configuration {short(name)} is built in and cannot be changed")
        if any(item.product_type == product_type for item in self._files.saved(name)):
            raise Refused(
                409,
                f"Configuration {short(name)} for {product_type} is kept in the file {short(f'{name}.yaml')}:"
                " change that file",
            )


def _page(
    connection: sqlite3.Connection, filters: ConfigurationFilters, after: Mark | None, limit: int
) -> list[Configuration]:
    conditions: list[tuple[str, tuple[object, ...]]] = [("1", ())]
    if filters.name is not None:
        conditions.append(("name = ?", (filters.name,)))
    if filters.types:
        conditions.append((f"product_type IN ({', '.join('?' * len(filters.types))})", filters.types))
    if after is not None:
        conditions.append(("(name, id) > (?, ?)", after))
    where = " AND ".join(condition for condition, _ in conditions)
    rows = connection.execute(
        f"SELECT * FROM configurations WHERE {where} ORDER BY name, id LIMIT ?",  # noqa: S608 - constants
        (*(value for _, values in conditions for value in values), limit),
    )
    return [_configuration(row) for row in rows]


def _named(connection: sqlite3.Connection, name: str, product_type: str) -> Configuration | None:
    row = connection.execute(
        "SELECT * FROM configurations WHERE name = ? AND product_type = ?", (name, product_type)
    ).fetchone()
    return None if row is None else _configuration(row)


def _configuration(row: sqlite3.Row) -> Configuration:
    return Configuration(
        id=row["id"],
        name=row["name"],
        product_type=row["product_type"],
        parameters=json.loads(row["parameters"]),
        version=row["version_us"],
        updated=row["version_us"],
        created=row["created_us"],
    )


def _mark(configuration: Configuration) -> Mark:
    return configuration.name, configuration.id
