"""Schemathesis with every check and phase against the stand-in, held to its own published document.

Ids that are made up lead to 404 and no further. So there are directories, batches and jobs before it
begins, and `schemathesis.toml` says where their ids are tried. Two batches have ended by then, as the clock
was moved; the others stay PENDING for as long as it takes, so that they can be cancelled.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from conftest import running

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conftest import Emulator

JSON: TypeAlias = Any

SETTINGS = Path(__file__).with_name("schemathesis.toml")
# Far longer than schemathesis takes, also on a clock that runs 60 times as fast.
PENDING = "1000h"
# What schemathesis says of operations that only ever met ids that there are not.
WITHOUT_DATA = "Missing test data"
# How often a look is repeated until something has come to pass, and the seconds between two looks.
LOOKS, PAUSE = 600, 0.1
EXTRACT = {
    "product_type": "extract_v2",
    "data_schema": {"type": "object", "properties": {"total": {"type": "number"}}},
}


class Primer:
    """Makes what there is before schemathesis begins."""

    def __init__(self, emulator: Emulator) -> None:
        self._llamacloud = self._client(emulator.url, emulator.llamacloud_key)
        self._talonic = self._client(emulator.url, emulator.talonic_key)

    def ids(self) -> dict[str, list[str]]:
        """Make everything, and give the ids by the name of their dictionary."""
        configuration = {"name": "primed", "parameters": EXTRACT}
        extract = self._post("/api/v1/beta/configurations", json=configuration)["id"]
        first = self._directory()
        parsed, extracted = self._batch(first, "parse_v2"), self._batch(first, "extract_v2", extract)
        self._post("/__admin/clock", json={"advance": PENDING})
        # More than are deleted on the way.
        directories = [self._directory() for _ in range(20)]
        jobs = {name: self._jobs(batch) for name, batch in (("parse", parsed), ("extract", extracted))}
        return {
            "directories": directories,
            "batches": [parsed, extracted, *(self._batch(item, "parse_v2") for item in directories)],
            "configurations": ["cfg-PARSE_AGENTIC", extract],
            "parse-jobs": jobs["parse"],
            "extract-jobs": jobs["extract"],
            "talonic-documents": [self._document(index) for index in range(5)],
        }

    def close(self) -> None:
        self._llamacloud.close()
        self._talonic.close()

    def _client(self, url: str, key: str) -> httpx.Client:
        return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"})

    def _post(self, path: str, **options: JSON) -> JSON:
        client = self._talonic if path.startswith("/v1/") else self._llamacloud
        return client.post(path, **options).raise_for_status().json()

    def _directory(self) -> str:
        made: str = self._post("/api/v1/beta/directories", json={"name": "primed"})["id"]
        files = {"upload_file": ("a.txt", b"Total 12.50\n")}
        self._post(f"/api/v1/beta/directories/{made}/files/upload", files=files)
        return made

    def _batch(self, directory: str, kind: str, configuration: str = "cfg-PARSE_AGENTIC") -> str:
        config = {"job": {"type": kind, "configuration_id": configuration}}
        made: str = self._post("/api/v2/batches", json={"source_directory_id": directory, "config": config})[
            "id"
        ]
        return made

    def _jobs(self, batch: str) -> list[str]:
        for _ in range(LOOKS):
            reply = self._llamacloud.get(f"/api/v2/batches/{batch}", params={"expand": "results"})
            if rows := reply.raise_for_status().json()["results"]:
                return [row["job_reference"]["id"] for row in rows]
            time.sleep(PAUSE)
        raise AssertionError(f"{batch} has no rows: {reply.text}")

    def _document(self, index: int) -> str:
        files = {"file": (f"{index}.txt", f"Total {index}\n".encode())}
        [source] = self._talonic.get("/v1/sources").raise_for_status().json()["data"]
        path = f"/v1/sources/{source['id']}/documents"
        made: str = self._post(path, files=files, data={"processing_mode": "batch"})["document_id"]
        return made


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Start a stand-in whose batches wait."""
    with running(tmp_path_factory.mktemp("emulator"), "--pending", PENDING) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def settings(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the settings out with the dictionaries that they name beside them."""
    folder = tmp_path_factory.mktemp("settings")
    primer = Primer(emulator)
    for name, ids in primer.ids().items():
        write_dictionary(folder / f"{name}.txt", ids)
    primer.close()
    return Path(shutil.copy(SETTINGS, folder))


def write_dictionary(path: Path, values: Iterable[str]) -> None:
    """Write one value a line, quoted, as schemathesis reads them."""
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values), encoding="utf-8")


@pytest.mark.parametrize("paths", ["^/api/", "^/v1/"], ids=["llamacloud", "talonic"])
def test_the_stand_in_keeps_its_document(
    emulator: Emulator, settings: Path, tmp_path: Path, paths: str
) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(settings), "run"]
    command += [f"{emulator.url}/openapi.json", "--include-path-regex", paths]
    keys = {"EMULATOR_LLAMACLOUD_KEY": emulator.llamacloud_key, "EMULATOR_TALONIC_KEY": emulator.talonic_key}
    surroundings = {**os.environ, **keys, "EMULATOR_PROJECT_ID": emulator.project_id, "NO_COLOR": "1"}
    # In a folder of its own, where what it writes is left behind.
    run = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
    print(run.stdout, run.stderr)  # noqa: T201 - the summary is what somebody wants to read
    assert run.returncode == 0
    assert WITHOUT_DATA not in run.stdout


def test_batches_were_cancelled_on_the_way(emulator: Emulator) -> None:
    """Without one, nothing of the above was shown of a cancel that succeeds."""
    headers = {"Authorization": f"Bearer {emulator.llamacloud_key}"}
    query = {"status": "CANCELLED"}
    reply = httpx.get(f"{emulator.url}/api/v2/batches", headers=headers, params=query)
    assert reply.raise_for_status().json()["items"]
