"""The loop over plain directories says "fits" only where the schema does, and hides no fault."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.schemas import load_schema
from reconciler.core.validate import schema as schema_module
from reconciler.core.validate.faults import Fault
from reconciler.core.validate.schema import Checker

SCHEMA = load_schema("BatchSet")
CHECKER = Checker(SCHEMA)
ITEM_VALIDATOR = schema_module._validator({**SCHEMA["$defs"]["directory"], "$defs": SCHEMA["$defs"]})

TEXTS = st.one_of(
    st.text(max_size=6),
    st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True),
    st.sampled_from(
        ["", "a\n", "\n", "a b", "\x00", "a\u200b", "\xa0", "é", "📄", "x" * 256, "x" * 257, "x" * 1025]
    ),
)
VALUES = st.one_of(TEXTS, st.none(), st.integers(), st.booleans(), st.lists(TEXTS, max_size=2))
ITEMS = st.one_of(
    st.dictionaries(st.sampled_from(["id", "name", "match", "exclude", "ids"]), VALUES, max_size=3), VALUES
)


def batch_set(directories: list[Any]) -> dict[str, Any]:
    spec = {
        "provider": "local",
        "job": {"type": "parse_v2", "configuration": "c"},
        "directories": directories,
    }
    return {"apiVersion": "reconciler/v1", "kind": "BatchSet", "metadata": {"name": "a"}, "spec": spec}


def directory(key: str, text: str) -> Any:  # noqa: ANN401 - any JSON
    return {key: text}


@given(ITEMS)
def test_what_the_loop_calls_fitting_the_schema_allows(item: Any) -> None:  # noqa: ANN401 - any JSON
    if CHECKER.fits_plainly(item):
        assert list(ITEM_VALIDATOR.iter_errors(item)) == []


@given(st.sampled_from(["id", "name", "match"]), TEXTS)
def test_for_one_key_with_text_the_loop_and_the_schema_are_equal(key: str, text: str) -> None:
    item = directory(key, text)
    assert CHECKER.fits_plainly(item) == (list(ITEM_VALIDATOR.iter_errors(item)) == [])


@given(st.lists(ITEMS, max_size=6))
def test_the_faults_are_those_of_the_whole_schema_at_the_same_places(items: list[Any]) -> None:
    slow = Checker(SCHEMA)
    slow._plain = {}
    assert CHECKER.faults(batch_set(items)) == slow.faults(batch_set(items))


def test_the_loop_takes_what_is_common() -> None:
    common: list[Any] = [{"id": "dir-0b1c2d3e"}, {"name": "invoices 2026"}, {"match": "invoices-*"}]
    assert [CHECKER.fits_plainly(item) for item in common] == [True, True, True]


@pytest.mark.parametrize(
    "text", ["a\n", "\n", "a b", "a\tb", "\x00", "a\u200b", "\u202ea", "\xa0", "", "x" * 257]
)
def test_an_id_is_one_visible_word(text: str) -> None:
    assert not CHECKER.fits_plainly(directory("id", text))
    assert CHECKER.faults(batch_set([{"id": text}])) != []


@pytest.mark.parametrize("directories", [[], {}, None, "x", [[]], [None]])
def test_lists_that_are_none_reach_the_schema(directories: Any) -> None:  # noqa: ANN401 - any JSON
    assert CHECKER.faults(batch_set(directories)) != []


def test_an_index_is_that_of_the_manifest() -> None:
    items = [{"id": "a"}, {"id": "b"}, {"id": 1}, {"id": "c"}, {"ids": "d"}]
    assert CHECKER.faults(batch_set(items)) == [
        Fault(("spec", "directories", 2, "id"), "expected text, got a number: quote it"),
        Fault(("spec", "directories", 4, "ids"), "unknown key 'ids': did you mean 'id'?", key=True),
        Fault(("spec", "directories", 4), "expected one of the keys 'id', 'name' and 'match'"),
    ]


def test_a_flood_of_faults_is_cut() -> None:
    faults = CHECKER.faults(batch_set([{"id": ""}] * 5000))
    assert len(faults) == 1001
    assert faults[-1] == Fault((), "1,000 faults in this document: the rest is not looked for")
