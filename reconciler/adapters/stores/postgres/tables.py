"""The tables: their SQL by version of the format, and who needs which grant. Text only.

A schema of the database holds the states of any number of projects, which are told apart by their names. Keys
and entries stand as the lockfile has them, so that one strict reader reads both. Each version of the format
is a script over the one before; what runs them is in `setup`.

``locks`` has a row a seat, with the epoch that its holder's writes are conditional on: 0 is who has the
whole project to itself, 1 and up are shards, -1 and down are workers that share a plan (see `seats`).
``intents`` has one row a key, so that no two creates of one key are ever open, whoever writes them. ``joint``
has the plan that workers share, ``work`` what of it is left to create, a row a directory, with the seat that
has claimed it. ``turns`` says when the requests of all of them may go, a row a service.
"""

from __future__ import annotations

from typing import Final

#: What was the format of version N becomes that of N + 1 by the script at index N.
SCRIPTS: Final = (
    """
CREATE TABLE format (
    version integer NOT NULL PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT now(),
    tool text NOT NULL
);
CREATE TABLE locks (
    project text NOT NULL,
    shard integer NOT NULL DEFAULT 0,
    shards integer NOT NULL DEFAULT 1,
    epoch bigint NOT NULL,
    holder text NOT NULL,
    pid integer NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    warm boolean NOT NULL DEFAULT false,
    PRIMARY KEY (project, shard)
);
CREATE TABLE states (
    project text NOT NULL PRIMARY KEY,
    lineage text NOT NULL,
    serial bigint NOT NULL,
    lockfile text NOT NULL
);
CREATE TABLE entries (
    project text NOT NULL,
    key text NOT NULL,
    entry text NOT NULL,
    PRIMARY KEY (project, key)
);
CREATE TABLE intents (
    project text NOT NULL,
    key text NOT NULL,
    id text NOT NULL,
    shard integer NOT NULL DEFAULT 0,
    epoch bigint NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    intent text NOT NULL,
    PRIMARY KEY (project, key),
    UNIQUE (project, id)
);
CREATE TABLE outcomes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project text NOT NULL,
    shard integer NOT NULL DEFAULT 0,
    settled text NOT NULL
);
CREATE INDEX outcomes_of_project ON outcomes (project, number);
CREATE TABLE audit (
    project text NOT NULL,
    file text NOT NULL,
    line integer NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (project, file, line)
);
CREATE TABLE backups (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL,
    why text NOT NULL,
    lockfile text NOT NULL,
    journal text NOT NULL
);
""",
    """
CREATE TABLE joint (
    project text NOT NULL PRIMARY KEY,
    plan text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE work (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project text NOT NULL,
    seat integer,
    task text NOT NULL
);
CREATE INDEX work_of_seat ON work (project, seat, number);
CREATE TABLE turns (
    project text NOT NULL,
    service text NOT NULL,
    free_at timestamptz NOT NULL,
    closed_until timestamptz NOT NULL,
    PRIMARY KEY (project, service)
);
""",
)

#: The format that this version reads and writes.
VERSION: Final = len(SCRIPTS)

#: Per table, what applying needs beside SELECT. It neither makes, alters nor drops anything.
APPLYING: Final = {
    "audit": ("INSERT",),
    "backups": ("INSERT",),
    "entries": ("INSERT", "UPDATE", "DELETE"),
    "format": (),
    "intents": ("INSERT", "UPDATE", "DELETE"),
    "joint": ("INSERT", "UPDATE", "DELETE"),
    "locks": ("INSERT", "UPDATE"),
    "outcomes": ("INSERT", "UPDATE", "DELETE"),
    "states": ("INSERT", "UPDATE"),
    "turns": ("INSERT", "UPDATE"),
    "work": ("INSERT", "UPDATE", "DELETE"),
}


def quoted(name: str) -> str:
    """A name of SQL as it may stand in a statement, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def grants(schema: str, planner: str, applier: str) -> list[str]:
    """What a role that plans and one that applies are to be granted, a statement each; "" for no role."""
    inside = quoted(schema)
    tables = ", ".join(f"{inside}.{table}" for table in sorted(APPLYING))
    statements = []
    for role in filter(None, (planner, applier)):
        statements += [
            f"GRANT USAGE ON SCHEMA {inside} TO {quoted(role)}",
            f"GRANT SELECT ON {tables} TO {quoted(role)}",
        ]
    if applier:
        statements += [
            f"GRANT {', '.join(rights)} ON {inside}.{table} TO {quoted(applier)}"
            for table, rights in sorted(APPLYING.items())
            if rights
        ]
    return statements


def script(schema: str, planner: str, applier: str) -> str:
    """Everything that `state init` does on a database without tables, to be run by whoever may."""
    parts = [
        "BEGIN",
        f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}",
        f"SET LOCAL search_path = {quoted(schema)}",
        *("".join(SCRIPTS).strip().removesuffix(";").split(";\n")),
        f"INSERT INTO format (version, tool) VALUES ({VERSION}, 'by hand')",  # noqa: S608 - a number of ours
        *grants(schema, planner, applier),
        "COMMIT",
    ]
    return "".join(f"{part};\n" for part in parts)
