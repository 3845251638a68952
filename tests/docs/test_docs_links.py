"""Each link of the pages leads somewhere: to a file or folder of the repository, and to a heading of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from docs_pages import AROUND, PAGES, ROOT, anchors, links, named

if TYPE_CHECKING:
    from pathlib import Path

_INDEX = ROOT / "docs" / "README.md"
#: What pages lead to and is still to come, since others build it. Each goes from here once it is there.
AWAITED: frozenset[str] = frozenset()


@pytest.mark.parametrize("page", [*PAGES, *AROUND, ROOT / "benchmarks" / "README.md"], ids=named)
def test_each_link_of_a_page_leads_somewhere(page: Path) -> None:
    lost = []
    for line, target in links(page):
        path, _, anchor = unquote(target).partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        if str(there.relative_to(ROOT)) in AWAITED:
            continue
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(f"{named(page)}:{line}: {target}")
    assert lost == []


def test_what_was_awaited_is_not_there_yet() -> None:
    """Else its name goes from the list above, so that links to it are held as well."""
    assert [name for name in sorted(AWAITED) if (ROOT / name).exists()] == []


def test_the_index_has_each_page_once() -> None:
    listed = [target for _, target in links(_INDEX)]
    assert sorted(listed) == sorted({*listed})
    pages = {page.name for page in PAGES if page.parent == _INDEX.parent and page != _INDEX}
    assert pages <= set(listed), f"missing in docs/README.md: {sorted(pages - set(listed))}"
