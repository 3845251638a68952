"""Runs of ids are left out of what YAML parses: nobody can tell, but by the time that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.adapters.manifests import reader, runs
from reconciler.adapters.manifests.reader import read_documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.source import Document

Lines = list[str]

#: So many lines that a run is one even after its first and last line.
MANY = runs.SHORTEST + 2


def both(text: str) -> tuple[object, object]:
    """What is read of a text, and what is read where no run is looked for."""
    short = read_documents(text.encode(), "f.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "shorten", lambda text: (text, ()))
        plain = read_documents(text.encode(), "f.yaml")
    return _told(*short), _told(*plain)


def _told(documents: Sequence[Document], faults: object) -> object:
    places = [
        (item.source, item.value, item.locate(("ids", 1)), item.locate(("ids", MANY - 1, "id")))
        for item in documents
    ]
    return places, faults


def ids(many: int = MANY, indent: int = 2, name: str = "dir") -> str:
    return "".join(f"{' ' * indent}- id: {name}-{number}\n" for number in range(many))


TEXTS = {
    "a list": "ids:\n" + ids(),
    "a list that is not indented": "ids:\n" + ids(indent=0) + "more: 1\n",
    "two lists": "ids:\n" + ids() + "more:\n" + ids(name="other"),
    "two documents": "---\nids:\n" + ids() + "---\n\nids:\n" + ids(indent=4),
    "a last item that goes on": "ids:\n" + ids() + "    name: x\n",
    "a last id that goes on": "ids:\n" + ids() + "      and on\n",
    "an item between": "ids:\n" + ids() + "  - name: x\n" + ids(),
    "deeper items": "ids:\n" + ids() + ids(indent=4),
    "a nested list": "ids:\n  - more:\n" + ids(indent=4) + "    x: y\n",
    "no last line break": "ids:\n" + ids() + "  - id: dir-x",
    "a block of text": "ids: |\n" + ids(),
    "quoted": 'ids: "\n' + ids() + '"\n',
    "an item of text": "ids:\n  - |\n" + ids(indent=4),
    "a fault behind it": "ids:\n" + ids() + "x: &anchor 1\n",
    "a fault before it": "x: *alias\nids:\n" + ids(),
    "broken YAML behind it": "ids:\n" + ids() + " x: ]\n",
    "broken YAML before it": "ids: [\n" + ids(),
    "the root": ids(indent=0),
    "the mark itself": "ids:\n" + ids() + f"mark: {runs._MARK}0\n",
    "a fault in another document": "---\n&x a: 1\n---\nids:\n" + ids(),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_run_is_read_as_its_lines_are(text: str) -> None:
    short, plain = both(text)
    assert short == plain


def test_a_long_list_is_read_without_its_run() -> None:
    shortened, found = runs.shorten("ids:\n" + ids(1_000) + "x: 1\n")
    assert shortened.count("\n") == 5
    assert [(run.line, len(run.ids), run.ids[0], run.ids[-1]) for run in found] == [
        (3, 998, "dir-1", "dir-998")
    ]


@pytest.mark.parametrize(
    "item", ["true", "12", "1e5", "null", "a b", "a: b", "a#b", "a-b #c", "'a-b'", "*a-b", "-a", "a-b "]
)
def test_what_is_no_plain_id_is_left_to_yaml(item: str) -> None:
    assert runs.shorten("ids:\n" + f"  - id: {item}\n" * MANY)[1] == ()


def test_too_many_values_are_too_many_in_a_run_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    for most in (2 * MANY + 1, 2 * MANY + 2, 2 * MANY + 3):
        monkeypatch.setattr(reader, "MAX_VALUES", most)
        short, plain = both("ids:\n" + ids())
        assert short == plain


LINES = [
    *(
        "ids:",
        "  - id: a-1",
        "  - id: b-2",
        "  - id: c-3",
        "- id: d-4",
        "    - id: e-5",
        "    name: x",
        "---",
    ),
    *("x: |", "y: '", "'", "", "# c", "  - id: true", "z: 1", "      on", "  - other:", "  id: f-6"),
]
A_RUN = st.integers(0, 4).map(lambda many: ["  - id: r-1"] * many)


@settings(max_examples=300)
@given(st.lists(A_RUN | st.sampled_from(LINES).map(lambda line: [line]), max_size=12))
def test_any_lines_are_read_as_without_runs(parts: list[Lines]) -> None:
    text = "".join(f"{line}\n" for lines in parts for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "SHORTEST", 1)
        short, plain = both(text)
    assert short == plain
