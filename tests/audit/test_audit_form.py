"""The regular expression takes exactly the lines that are read the long way, and their hashes by bytes."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.audit.form import ACTION, hash_fits, text_of, written
from reconciler.adapters.audit.lines import as_text, read_line, sealed

_TEXTS = ("actor", "address", "batch", "ciRun", "commit", "key", "outcome", "plan", "requestId", "run", "why")
_strings = st.text(st.characters(exclude_categories=()), max_size=8)
_lines = st.fixed_dictionaries(
    {
        "kind": st.just("action"),
        "action": _strings,
        "time": st.just("2026-09-01T12:00:00Z"),
        "dirty": st.sampled_from([True, False, None]),
        "prev": st.just("sha256:" + "0" * 64),
        **dict.fromkeys(_TEXTS, _strings),
    }
)


@given(_lines)
def test_every_line_that_is_written_fits_with_its_texts_and_its_hash(fields: dict[str, object]) -> None:
    line = sealed(fields)
    match = ACTION.fullmatch(line.text)
    assert match is not None
    assert hash_fits(match)
    assert match["hash"].decode() == line.hash
    for name in ("action", "address", "batch", "key", "outcome", "time"):
        assert text_of(match[name]) == fields[name]
        assert written(str(fields[name])) == match[name]


@given(_lines, st.data())
def test_what_fits_is_a_line_byte_for_byte_and_a_changed_one_has_another_hash(
    fields: dict[str, object], data: st.DataObject
) -> None:
    text = bytearray(sealed(fields).text)
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[at]))
    text[at] = byte
    match = ACTION.fullmatch(bytes(text))
    if match is not None:
        assert read_line(bytes(text)) is not None
        assert not hash_fits(match)


def test_no_second_way_to_write_a_string_fits() -> None:
    whole = sealed({**dict.fromkeys(_TEXTS, ""), "kind": "action", "action": "", "dirty": None}
                   | {"time": "", "prev": "sha256:" + "0" * 64})  # fmt: skip
    assert ACTION.fullmatch(whole.text)
    forms = [f"\\u{code:04x}" for code in range(0x10000)] + [f"\\u{code:04X}" for code in range(0x10000)]
    string = ACTION.pattern.partition(b'"actor":')[2].partition(b',"address"')[0]
    one = re.compile(string)
    for form in [*forms, "\\/", "/", "\\a", "\x7f", "\t", '"', "\\"]:
        raw = f'"{form}"'.encode()
        try:
            canonical = as_text(json.loads(raw)) == raw
        except ValueError:
            canonical = False
        assert bool(one.fullmatch(raw)) == canonical, form
