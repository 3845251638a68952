"""Exported manifests read back as what was exported, whatever the service calls things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.adapters.manifests.reader import read_documents
from reconciler.model.batch import Batch, JobType, Key, Status
from reconciler.model.export import Export, ExportedDirectory, ExportedSet, Omitted, Remark
from reconciler.render.export import comment, export_text, manifest_text, scalar, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")

NASTY = [
    "a\n- id: dir-evil",
    "a\r- id: dir-evil",
    "a\x85- id: dir-evil",
    "a\u2028- id: dir-evil",
    "a\u2029- id: dir-evil",
    "a\x00b\x07c\x1b[2Jd",
    "\ufeff\ufffe\uffff",
    "\ud800",
    "#  : {[&*!|>'\"%@`",
    "\u202eevil\u200b",
    "x" * 5000,
    "---\n...\n",
    "\t",
    "",
]

#: What the wire lets through as an id: printable, and a good deal more than a manifest takes.
_ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.isprintable)
_names = st.sampled_from(NASTY) | st.text(max_size=30)


def remark(text: str, reason: Omitted, directory: str = "dir-9") -> Remark:
    batch = Batch(text, KEY, Status.FAILED)
    return Remark(batch=batch, directory=directory, reason=reason, why=text, name=text)


def made(
    directories: Sequence[tuple[str, str]],
    remarks: Sequence[Remark] = (),
    **other: Any,  # noqa: ANN401 - the fields of ExportedSet
) -> ExportedSet:
    batch = Batch("bat-1", KEY, Status.COMPLETED)
    usual: dict[str, Any] = {"name": "prod-parse", "provider": "prod", "configuration": "cfg"}
    return ExportedSet(
        job=JobType.PARSE_V2,
        directories=tuple(ExportedDirectory(name, text, batch) for name, text in directories),
        remarks=tuple(remarks),
        **usual | other,
    )


def read(text: str) -> list[Any]:
    documents, faults = read_documents(text.encode(), "f.yaml")
    assert faults == ()
    return [document.value for document in documents]


def test_a_set_is_written_like_this() -> None:
    item = made(
        [("dir-1", "September"), ("2026", "dir #2")],
        [
            remark("bat-9", Omitted.FAILED),
            remark("bat-8", Omitted.SURPLUS, "dir-1"),
        ],
    )
    assert manifest_text(item).splitlines() == [
        "apiVersion: reconciler/v1",
        "kind: BatchSet",
        "metadata:",
        "  name: prod-parse",
        "spec:",
        "  provider: prod",
        "  job:",
        "    type: parse_v2",
        "    configuration: cfg",
        "  directories:",
        "    - id: dir-1  # September",
        '    - id: "2026"  # dir #2',
        "    # - id: dir-9  # would be created anew: bat-9 (FAILED): bat-9",
        "    # dir-1: bat-8 (FAILED): bat-8",
    ]


def test_a_remark_about_ids_as_long_as_services_make_them_is_not_cut() -> None:
    directory, other = "dir-20b62597-3398-44fb-bd90-542f40a198b0", "bat-d14f975f-7a62-4efd-9d03-4f3f76bf198c"
    batch = Batch("bat-20b62597-3398-44fb-bd90-542f40a198b0", KEY, Status.FAILED)
    why = f"surplus: {other} is the same work, and is adopted"
    item = Remark(batch=batch, directory=directory, reason=Omitted.SURPLUS, why=why, name="")
    [line] = manifest_text(made([(directory, "")], [item])).splitlines()[-1:]
    assert line.endswith(f"(FAILED): {why}")


@given(st.lists(st.tuples(_ids, _names), min_size=1, max_size=4), _ids, st.lists(_names, max_size=3))
@example([("dir-1", text) for text in NASTY], "cfg", NASTY)
@example(
    [("null", ""), ("~", ""), ("0o17", ""), ("1e5", ""), ("yes", ""), ("a: b", ""), ("- a", "")], "no", []
)
@example([("\U0001f600", "\U0001f600"), ("\\", '"'), ("'", "'")], "é", [])
def test_what_is_written_reads_back_as_it_was_and_no_name_adds_anything(
    directories: list[tuple[str, str]], configuration: str, remarks: list[str]
) -> None:
    item = made(
        directories,
        [remark(text, reason) for text in remarks for reason in (Omitted.FAILED, Omitted.NO_DIRECTORY)],
        configuration=configuration,
    )
    spec = {
        "provider": "prod",
        "job": {"type": "parse_v2", "configuration": configuration},
        "directories": [{"id": name} for name, _ in directories],
    }
    expected = {
        "apiVersion": "reconciler/v1",
        "kind": "BatchSet",
        "metadata": {"name": "prod-parse"},
        "spec": spec,
    }
    only_remarks = made([], [remark(text, Omitted.CANCELLED) for text in remarks], name="other")
    text = export_text(Export(sets=(item, only_remarks, item), desired=0))
    assert read(manifest_text(item)) == [expected]
    assert [value for value in read(text) if value is not None] == [expected, expected]
    assert [value for value in yaml.safe_load_all(text) if value is not None] == [expected, expected]


@given(st.text())
@example("\ud800\ufffe")
def test_a_comment_stays_on_its_line_and_hides_nothing(text: str) -> None:
    assert comment(text).isprintable()
    assert len(comment(text)) <= 400 * 10


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("dir-1", "dir-1"),
        ("cfg-PARSE_AGENTIC", "cfg-PARSE_AGENTIC"),
        ("true", '"true"'),
        ("No", '"No"'),
        ("1", '"1"'),
        ("a b", '"a b"'),
        ('a"\\', '"a\\"\\\\"'),
        ("\U0001f600", '"\\U0001f600"'),
    ],
)
def test_a_scalar_is_quoted_where_a_reader_could_take_it_for_something_else(text: str, written: str) -> None:
    assert scalar(text) == written


def test_the_summary_counts_what_was_done_and_what_was_not() -> None:
    item = made([("dir-1", "")], [remark("x", Omitted.FAILED)])
    assert summary(Export(sets=(), desired=0)) == "Exported: 0 directories in 0 sets."
    assert summary(Export(sets=(item,), desired=1200)) == (
        "Exported: 1 directory in 1 set; 1 batch only as comments;"
        " 1,200 batches left out, since manifests ask for their work."
    )
