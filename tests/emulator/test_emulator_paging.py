"""Laws of paging: each item exactly once, whatever the page size and whatever is added meanwhile."""

from __future__ import annotations

import string
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator import paging
from reconciler.emulator.database import Database
from reconciler.emulator.life.pace import Pace
from reconciler.emulator.llamacloud.batches import Batches, Filters
from reconciler.emulator.llamacloud.bodies import CreateBatch

SCOPE = ("files", "dir-a", None)
REQUEST = CreateBatch(directory_id="dir-a", job_type="parse_v2", configuration_id="cfg-PARSE_AGENTIC")


@settings(deadline=None, max_examples=40)
@given(count=st.integers(0, 12), size=st.integers(1, 5), added=st.lists(st.integers(0, 2), max_size=12))
def test_each_batch_is_listed_once_while_others_are_created(count: int, size: int, added: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "x.db")
        batches = Batches(database, lambda: 0, Pace())

        def create() -> str:
            return batches.create(REQUEST, project_id="p", fields=None).id

        expected = [create() for _ in range(count)]
        listed: list[str] = []
        before: int | None = None
        pages = 0
        while page := batches.page(Filters(project_id="p"), before=before, limit=size):
            listed += [batch.id for batch in page]
            before = page[-1].created
            for _ in range(added[pages] if pages < len(added) else 0):
                create()
            pages += 1
        database.close()
    # One that is added before the first page was read would belong to the list; none was.
    assert listed == expected[::-1]


@given(last=st.text(max_size=30), data=st.data())
def test_an_altered_token_is_refused(last: str, data: st.DataObject) -> None:
    token = paging.seal(SCOPE, last)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABCXYZabcxyz0189-_=.!é").filter(lambda other: other != token[place]))
    assert paging.unseal(SCOPE, token) == last
    assert paging.unseal(SCOPE, token[:place] + letter + token[place + 1 :]) is None
    assert paging.unseal(SCOPE, token[:place]) is None
    assert paging.unseal(("files", "dir-b", None), token) is None


def test_a_token_has_one_spelling() -> None:
    # Depending on the length, base64 leaves bits of the last letter without a meaning.
    for last in ("", "a", "ab"):
        token = paging.seal(SCOPE, last)
        letters = (string.ascii_letters + string.digits + "-_").replace(token[-1], "")
        spellings = [token + "=", *(token[:-1] + letter for letter in letters)]
        assert [paging.unseal(SCOPE, spelling) for spelling in spellings] == [None] * len(spellings)


def test_a_name_that_is_no_unicode_can_be_gone_on_after() -> None:
    assert paging.unseal(SCOPE, paging.seal(SCOPE, "caf\udce9")) == "caf\udce9"
