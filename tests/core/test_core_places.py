"""Where a manifest asks for an address: by id, by what a name stands for, by a pattern, else the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.api import load, places
from reconciler.model.batch import Address
from reconciler.model.lock import PinKind
from reconciler.model.plan import Selected

if TYPE_CHECKING:
    from pathlib import Path

_PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: p}
spec:
  manifests: ["*.set.yaml"]
  providers: {prod: {type: llamacloud}, other: {type: talonic}}
"""
_SET = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {name: invoices}
spec:
  provider: prod
  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}
  directories:
    - id: dir-a
    - name: named
    - match: "2026-*"
      exclude: ["2026-0*"]
    - match: "20*"
---
apiVersion: reconciler/v1
kind: TrackedBatch
metadata: {name: watched}
spec: {provider: other, ids: [x]}
"""


@pytest.mark.parametrize(
    ("directory", "name", "line"),
    [
        ("dir-a", "", 8),
        ("dir-n", "renamed", 9),
        ("dir-x", "named", 9),
        ("dir-m", "2026-10", 10),
        ("dir-m", "2026-09", 12),
        ("dir-gone", "", 8),
        ("dir-gone", "elsewhere", 8),
    ],
)
def test_the_item_of_the_list_is_found_or_else_the_list(
    tmp_path: Path, directory: str, name: str, line: int
) -> None:
    (tmp_path / "reconciler.yaml").write_text(_PROJECT)
    (tmp_path / "a.set.yaml").write_text(_SET)
    selected = [Selected("invoices", PinKind.NAME, "named", "dir-n", 1, 0, 0)]
    place = places(load(tmp_path), selected)
    found = place(Address("invoices", directory), name)
    assert found is not None
    assert (found.file, found.line) == ("a.set.yaml", line)
    watched = place(Address("watched", "x"), "")
    assert watched is not None
    assert watched.line == 14
    assert place(Address("forgotten", "x"), "") is None
