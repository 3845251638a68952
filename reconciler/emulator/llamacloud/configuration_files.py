"""Configurations that nothing is written to: YAML files in one folder, and built-in presets.

A configuration file is `<name>.yaml`, read at each request, so that an edit shows at once. It is
somebody's file: its size, nesting and values are bounded and checked here, and whatever is wrong with it
becomes a reply that names the file and the reason. Presets are accepted without being listed, as the
service does.

What the fields of an `extract_v2` configuration mean is decided in `extraction`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.emulator.errors import Refused, Unreadable
from reconciler.emulator.llamacloud.bodies import JOB_TYPES, PARSE_TIERS
from reconciler.emulator.reading.extraction import read_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.emulator.moments import Micros

_PRESETS = {"cfg-PARSE_AGENTIC": "agentic", "cfg-PARSE_COST_EFFECTIVE": "cost_effective"}
_PRESETS_SINCE: Micros = 1_735_689_600_000_000  # 2025-01-01: any fixed moment
# How a field's kind stands in the `data_schema` that the contract has in every extract configuration.
_JSON_TYPES = {"text": "string", "number": "number", "date": "string"}
_MAX_BYTES = 64 * 1024
_MAX_DEPTH = 20
_MAX_FILES = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """A configuration as the API shows it. `version` changes with every change of the content."""

    id: str
    name: str
    product_type: str
    parameters: Mapping[str, object]
    version: Micros
    updated: Micros
    created: Micros | None = None

    @property
    def fields(self) -> Mapping[str, object] | None:
        """The fields to extract; None for what does not extract.

        They are empty where a configuration only has a `data_schema`: that is for the service's models,
        and here the text of each document is all that its job gives.
        """
        if self.product_type != "extract_v2":
            return None
        fields = self.parameters.get("fields")
        return fields if isinstance(fields, dict) else {}


def preset(configuration_id: str) -> Configuration | None:
    """Give a preset by id, or None."""
    tier = _PRESETS.get(configuration_id)
    if tier is None:
        return None
    return Configuration(
        id=configuration_id,
        name=configuration_id.removeprefix("cfg-"),
        product_type="parse_v2",
        parameters={"product_type": "parse_v2", "tier": tier, "version": "latest"},
        version=_PRESETS_SINCE,
        updated=_PRESETS_SINCE,
    )


class ConfigurationFiles:
    """The configuration files of one folder, or of none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def saved(self, name: str | None) -> list[Configuration]:
        """Give the saved configurations, sorted by id; only the one with this name, if one is given.

        Raises:
            Refused: 400, when the folder or a file in it cannot be used.
        """
        if self._folder is None:
            return []
        try:
            paths = sorted(
                path
                for path in self._folder.iterdir()
                if path.suffix == ".yaml" and not path.name.startswith(".") and name in {None, path.stem}
            )
        except OSError as error:
            raise Refused(
                400, f"The folder of configurations {self._folder} cannot be read: {error.strerror}"
            ) from error
        if len(paths) > _MAX_FILES:
            raise Refused(400, f"The folder of configurations {self._folder} has over {_MAX_FILES} files")
        return sorted((_read(path) for path in paths), key=lambda configuration: configuration.id)

    def get(self, configuration_id: str) -> Configuration | None:
        """Give a configuration file by id, or None.

        Raises:
            Refused: 400, when it cannot be used.
        """
        name = configuration_id.removeprefix("cfg-")
        if f"cfg-{name}" != configuration_id or not _NAME.fullmatch(name):
            return None
        return next(iter(self.saved(name)), None)


def _read(path: Path) -> Configuration:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        modified = path.stat().st_mtime_ns // 1000
        kind, parameters = _check(path.stem, _load(content))
    except OSError as error:
        raise Refused(400, f"Configuration file {path.name!a} cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise Refused(400, f"Configuration file {path.name!a} is not valid: {error}") from error
    # A datetime whose microseconds come from the content: two versions differ even when an edit kept
    # the file's time, or fell into the same tick of the file system's clock.
    digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") % 1_000_000
    return Configuration(
        id=f"cfg-{path.stem}",
        name=path.stem,
        product_type=kind,
        parameters={"product_type": kind, **parameters},
        version=modified - modified % 1_000_000 + digest,
        updated=modified,
    )


def _load(content: bytes) -> dict[str, object]:
    import yaml

    if len(content) > _MAX_BYTES:
        raise Unreadable(f"it is larger than {_MAX_BYTES} bytes")
    try:
        depth = 0
        for event in yaml.parse(content, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise Unreadable("it uses a YAML alias")
            if depth > _MAX_DEPTH:
                raise Unreadable(f"it nests deeper than {_MAX_DEPTH} levels")
        document: object = yaml.safe_load(content)
        # Whatever YAML can hold and JSON cannot (a date, a set, infinity) could not be sent either.
        json.dumps(document, allow_nan=False)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Unreadable(f"{place}{getattr(error, 'problem', None) or 'it is no YAML'}") from error
    # PyYAML lets errors of Python's own conversions through: 2026-13-45, a number of 5,000 digits.
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise Unreadable(f"it holds a value that cannot be used: {error}") from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise Unreadable("it should be a mapping with name, type and fields or parameters")
    return document


def _check(stem: str, document: dict[str, object]) -> tuple[str, dict[str, object]]:
    """Give the type and the parameters of a configuration file."""
    if not _NAME.fullmatch(stem) or f"cfg-{stem}" in _PRESETS:
        raise Unreadable("its file name cannot be the name of a saved configuration")
    name = document.get("name", stem)
    if name != stem:
        raise Unreadable(f"its name is {name!a} but the file's name says {stem!a}")
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in JOB_TYPES:
        raise Unreadable(f"its type should be one of {', '.join(JOB_TYPES)}, not {kind!a}")
    content = "fields" if kind == "extract_v2" else "parameters"
    if unknown := sorted(document.keys() - {"name", "type", content}):
        raise Unreadable(f"a configuration of type {kind} has no {unknown[0]!a}")
    if kind == "extract_v2":
        fields = document.get("fields")
        properties = {name: {"type": _JSON_TYPES[field.kind]} for name, field in read_fields(fields).items()}
        return kind, {"data_schema": {"type": "object", "properties": properties}, "fields": fields}
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict) or not all(isinstance(key, str) for key in parameters):
        raise Unreadable("its parameters should be a mapping")
    if "product_type" in parameters:
        raise Unreadable("its parameters cannot have a product_type")
    # The contract has both in every parse configuration.
    parameters = {"tier": "cost_effective", "version": "latest", **parameters}
    if parameters["tier"] not in PARSE_TIERS:
        raise Unreadable(f"its tier should be one of {', '.join(PARSE_TIERS)}, not {parameters['tier']!a}")
    if not isinstance(parameters["version"], str):
        raise Unreadable("its version should be a text")
    return kind, parameters
