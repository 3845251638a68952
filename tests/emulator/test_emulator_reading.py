"""From documents to text and records, and what becomes of documents that misbehave."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from reconciler.emulator.errors import Refused, Unreadable
from reconciler.emulator.life.worker import safe_name
from reconciler.emulator.llamacloud.configuration_files import ConfigurationFiles
from reconciler.emulator.reading.extraction import extract, parse_date, parse_number, read_fields
from reconciler.emulator.reading.parsing import html_to_text, parse
from reconciler.emulator.reading.reader_process import ReaderProcess, Stopped

# As decoded, or whatever else a test hands through: what it should be is what the test compares.
JSON: TypeAlias = Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart"
NEVER = threading.Event()


def test_a_pdf_becomes_its_text() -> None:
    text = parse(EXAMPLE / "documents" / "invoices-2026-09" / "northwind-0917.pdf")
    assert text.splitlines()[3:7] == [
        "INVOICE",
        "Invoice No. NW-0917",
        "Date: 2026-09-04",
        "Bill to: Harbour Books",
    ]


def test_the_fields_of_the_example_fit_its_invoices() -> None:
    configuration = ConfigurationFiles(EXAMPLE / "configurations").get("cfg-invoice-fields")
    assert configuration is not None
    fields = read_fields(configuration.fields)
    records = {}
    for path in sorted((EXAMPLE / "documents").glob("invoices-*/*")):
        try:
            records[path.name] = list(extract(fields, parse(path)).values())
        except Unreadable as error:
            records[path.name] = [str(error)]
    assert records == {
        "blue-ferry-2209.txt": ["BF-2209", "2026-09-18", "Harbour Books", 405.0],
        "lantern-design-31.md": ["LD-31", "2026-09-29", "Harbour Books", 1400.0],
        "northwind-0917.pdf": ["NW-0917", "2026-09-04", "Harbour Books", 290.6],
        "kettle-and-co-88.html": ["KC-88", "2026-10-05", "Harbour Books", 160.2],
        "northwind-1003.pdf": ["NW-1003", "2026-10-12", "Harbour Books", 1240.5],
        "northwind-1011-damaged.pdf": ["not a readable PDF: PDF error: invalid PDF format"],
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.docx", b"x", "unsupported file type '.docx': only .pdf, .txt, .md, .html, .htm are read"),
        ("a", b"x", "unsupported file type '': only .pdf, .txt, .md, .html, .htm are read"),
        ("a.txt", "café".encode("latin-1"), "the text is not UTF-8: byte 0xe9 at offset 3"),
        ("a.md", b"ab\0c", "not a text: a NUL byte at offset 2"),
        ("a.pdf", b"", "the file is empty"),
        ("a.pdf", b"hello", "not a PDF: it does not begin with %PDF-"),
        ("a.pdf", b"PK\3\4", "not a PDF: it does not begin with %PDF-"),
        ("a.pdf", b"%PDF-1.4 cut", "not a readable PDF: PDF error: invalid PDF format"),
    ],
)
def test_what_cannot_be_parsed_says_why(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unreadable) as caught:
        parse(tmp_path / name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one</p><p>two &amp; three</p>", "one\ntwo & three\n"),
        ("a<br>b<script>x()</script><style>p{}</style>c", "a\nb\nc\n"),
        ("<head><title>T</title><meta charset=utf-8></head><body>b", "T\nb\n"),
        ("<head><style>x</style><body>never closed head", "never closed head\n"),
        ("<b>bo</b>ld  and\n  <i>more</i>", "bold and more\n"),
        ("<table><tr><td>a</td><td>1</td></tr><tr><td>b</td><td>2</td></tr></table>", "a 1\nb 2\n"),
        ("<pre>x\ny</pre>", "x\ny\n"),
        ("<!-- no --><div>yes", "yes\n"),
        ("", ""),
    ],
)
def test_html_becomes_what_a_reader_sees(source: str, text: str) -> None:
    assert html_to_text(source) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("-7.5", -7.5),
        ("1,240", 1240),
        ("1.240", 1.24),
        ("0,125", 0.125),
        ("1,240.50", 1240.5),
        ("1.240,50", 1240.5),
        ("1.234.567", 1234567),
        ("1 240,5", 1240.5),
        ("1'240.00", 1240.0),
        ("12.50.", 12.5),
    ],
)
def test_a_number_is_read_in_any_habit(text: str, number: float) -> None:
    assert repr(parse_number(text)) == repr(number)


@pytest.mark.parametrize("text", ["", ".", "x", "1,2,3", "1,24.5.6", "9" * 5000, "٣"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="is not a number"):
        parse_number(text)


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("2026-10-12", None),
        ("12.10.2026", None),
        ("12 October 2026", None),
        ("12th Oct. 2026", None),
        ("October 12, 2026", None),
        ("10/12/2026", "%m/%d/%Y"),
    ],
)
def test_a_date_is_read_in_any_habit(text: str, layout: str | None) -> None:
    assert parse_date(text, layout) == "2026-10-12"


@pytest.mark.parametrize(
    ("text", "layout"), [("03/04/2026", None), ("2026-02-30", None), ("1 Foo 2026", None), ("x", "%Y")]
)
def test_what_is_no_clear_date_is_refused(text: str, layout: str | None) -> None:
    with pytest.raises(Unreadable, match="is not a date"):
        parse_date(text, layout)


def test_all_failures_of_a_record_are_told_and_the_optional_is_null() -> None:
    fields = read_fields(
        {
            "a": {"pattern": "A(.)", "required": True},
            "b": {"pattern": "B(.)", "type": "number"},
            "c": {"pattern": "C(.)"},
        }
    )
    assert extract(fields, "A1 B2") == {"a": "1", "b": 2, "c": None}
    with pytest.raises(Unreadable) as caught:
        extract(fields, "Bx")
    assert str(caught.value) == "required field 'a' was not found; field 'b': 'x' is not a number"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("type: parse_v3", "its type should be one of parse_v2, extract_v2, not 'parse_v3'"),
        ("name: other\ntype: parse_v2", "its name is 'other' but the file's name says 'x'"),
        ("type: parse_v2\nfields: {}", "a configuration of type parse_v2 has no 'fields'"),
        ("- a", "it should be a mapping with name, type and fields or parameters"),
        ("type: [", "line 1, column 8: expected the node content, but found '<stream end>'"),
        ("type: &a parse_v2\nname: *a", "it uses a YAML alias"),
        ("[" * 30_000, "it nests deeper than 20 levels"),
        ("x" * 70_000, "it is larger than 65536 bytes"),
        (
            "type: parse_v2\nparameters: {a: 2026-13-45}",
            "it holds a value that cannot be used: month must be in 1..12",
        ),
        ("type: extract_v2", "its fields should be a mapping of at least one field"),
        ("type: extract_v2\nfields: {a: {pattern: x}}", "field 'a': the pattern has no group for the value"),
        (
            "type: extract_v2\nfields: {a: {pattern: '('}}",
            (
                "field 'a': the pattern is not a regular expression:"
                " missing ), unterminated subpattern at position 0"
            ),
        ),
        (
            "type: extract_v2\nfields: {a: {pattern: (x), tipe: date}}",
            "field 'a' has an unknown option 'tipe'",
        ),
    ],
)
def test_a_broken_configuration_names_file_and_reason(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    for ask in (
        lambda: ConfigurationFiles(tmp_path).saved(None),
        lambda: ConfigurationFiles(tmp_path).get("cfg-x"),
    ):
        with pytest.raises(Refused) as caught:
            ask()
        assert (caught.value.status, caught.value.detail) == (
            400,
            f"Configuration file 'x.yaml' is not valid: {reason}",
        )


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\xff", b"a: \0", b"a: !!python/name:os.system", b"? [a]: b", b"1" * 5000]
)
def test_hostile_configurations_are_one_refusal(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(Refused, match=r"Configuration file 'x\.yaml' is not valid: "):
        ConfigurationFiles(tmp_path).saved(None)


def read(reader: ReaderProcess, tmp_path: Path, text: str, fields: JSON = None, stop: JSON = NEVER) -> JSON:
    source, target = tmp_path / "source.txt", tmp_path / "out" / "target"
    source.write_text(text)
    error = reader.read(source, target, fields, stop=stop)
    return error, target.read_text() if target.exists() else None


def test_a_pattern_that_never_ends_costs_only_its_own_file(tmp_path: Path) -> None:
    reader = ReaderProcess(seconds=1)
    endless = {"a": {"pattern": "^(x+x+)+$"}}
    assert read(reader, tmp_path, "x" * 60 + "!", endless) == (
        "reading the document took longer than 1 seconds",
        None,
    )
    assert read(reader, tmp_path, "fine") == (None, "fine")
    reader.close()


def test_a_document_that_kills_its_parser_costs_only_itself(tmp_path: Path) -> None:
    reader = ReaderProcess()
    assert read(reader, tmp_path, "before") == (None, "before")
    os.mkfifo(tmp_path / "endless.txt")  # opening it waits for ever, like a parser that hangs

    class Killer(threading.Event):
        def is_set(self) -> bool:
            assert reader._process is not None
            os.kill(reader._process.pid, signal.SIGSEGV)
            return False

    error = reader.read(tmp_path / "endless.txt", tmp_path / "none", None, stop=Killer())
    assert error == "reading the document crashed the parser"
    assert read(reader, tmp_path, "after") == (None, "after")
    reader.close()


def test_a_reader_that_died_between_two_files_is_replaced(tmp_path: Path) -> None:
    reader = ReaderProcess()
    assert read(reader, tmp_path, "one") == (None, "one")
    assert reader._process is not None
    reader._process.kill()
    reader._process.wait()
    assert read(reader, tmp_path, "two") == (None, "two")
    reader.close()


def test_a_stop_leaves_the_file_undone(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        read(ReaderProcess(), tmp_path, "text", stop=stop)


def test_names_of_results_are_safe_and_differ() -> None:
    names = [
        "a.txt",
        ".a.txt",
        "a/b",
        "a_b",
        "a\nb",
        "é.txt",
        "caf\udce9",
        "x" * 255,
        "x" * 254,
        "..",
        "\u202e",
    ]
    safe = [safe_name(name) for name in names]
    assert (safe[0], safe[3]) == ("a.txt", "a_b")
    assert len(set(safe)) == len(names)
    assert all(name.isascii() and len(name) < 120 and name[0] != "." and "/" not in name for name in safe)
