"""The commands by their names, each imported when somebody wants it: a plan needs nothing of the emulator's.

What a command does is in its own file.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

_HOMES = {
    "apply": "apply:apply_command",
    "audit": "audit:audit_group",
    "cancel": "by_hand:cancel_command",
    "comment": "comment:comment_command",
    "completion": "shell:completion_command",
    "drift": "drift:drift_command",
    "emulator": "emulator:emulator_command",
    "explain": "explain:explain_command",
    "export": "export:export_command",
    "import": "by_hand:import_command",
    "init": "manifests:init_command",
    "list": "list:list_command",
    "lock": "by_hand:lock_group",
    "plan": "plan:plan_command",
    "policy": "policy:policy_group",
    "refresh": "refresh:refresh_command",
    "report": "report:report_command",
    "results": "results:results_command",
    "run": "run:run_command",
    "schema": "manifests:schema_command",
    "state": "state:state_group",
    "status": "status:status_command",
    "validate": "manifests:validate_command",
    "wait": "status:wait_command",
}


class Commands(MutableMapping[str, click.Command]):
    """Commands by name, as click wants them.

    Args:
        homes: per name, the module beside this one and what the command is called there.
    """

    def __init__(self, homes: dict[str, str]) -> None:
        self._homes: dict[str, str | click.Command] = {**homes}

    def __getitem__(self, name: str) -> click.Command:
        """Import a command, the first time."""
        home = self._homes[name]
        if isinstance(home, str):
            module, _, found = home.partition(":")
            home = self._homes[name] = getattr(import_module(f"reconciler.cli.{module}"), found)
        assert isinstance(home, click.Command)
        return home

    def __setitem__(self, name: str, command: click.Command) -> None:
        """Add one."""
        self._homes[name] = command

    def __delitem__(self, name: str) -> None:
        """Take one away."""
        del self._homes[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is one, without importing it."""
        return name in self._homes

    def __iter__(self) -> Iterator[str]:
        """The names, without importing anything."""
        return iter(self._homes)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._homes)


COMMANDS = Commands(_HOMES)
