"""Shards: every key is of exactly one, whoever asks and whenever; and together they keep a limit (R15)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.batch import JobType, Key
from reconciler.model.shard import MOST_SHARDS, Shard

COUNTS = st.integers(1, 64)


def _key(directory: str, configuration: str = "cfg-1") -> Key:
    return Key("https://api.example", "prj-1", directory, JobType.PARSE_V2, configuration)


@given(COUNTS, st.text())
def test_every_key_is_of_exactly_one_shard_and_its_directory_says_which(count: int, directory: str) -> None:
    shards = [Shard(index, count) for index in range(1, count + 1)]
    of = [str(shard) for shard in shards if shard.has(_key(directory))]
    assert len(of) == 1
    assert [str(shard) for shard in shards if shard.has(_key(directory, "cfg-2"))] == of


def test_which_shard_a_directory_is_of_never_changes() -> None:
    """Workers of two versions beside each other would else both create what each takes for its own."""
    found = {
        directory: [
            str(Shard(i, n)) for n in (2, 16) for i in range(1, n + 1) if Shard(i, n).has(_key(directory))
        ]
        for directory in ("dir-1", "dir-2", "dir-é")
    }
    assert found == {"dir-1": ["2/2", "6/16"], "dir-2": ["1/2", "9/16"], "dir-é": ["2/2", "6/16"]}


def test_shares_of_many_directories_are_about_alike() -> None:
    shares = [sum(1 for n in range(10_000) if Shard(i, 16).has(_key(f"dir-{n}"))) for i in range(1, 17)]
    assert sum(shares) == 10_000
    assert min(shares) > 500
    assert max(shares) < 750


@given(COUNTS, st.integers(0, 10_000))
def test_the_parts_of_a_limit_are_the_limit_and_differ_by_one_at_most(count: int, limit: int) -> None:
    parts = [Shard(index, count).part(limit) for index in range(1, count + 1)]
    assert sum(parts) == limit
    assert all(0 <= a - b <= 1 for a, b in pairwise(parts))


@pytest.mark.parametrize("text", ["1/1", "3/16", f"{MOST_SHARDS}/{MOST_SHARDS}"])
def test_a_shard_is_read_as_it_is_written(text: str) -> None:
    assert str(Shard.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "/16", "0/16", "17/16", "-1/16", "3/16/2", " 3/16", "٣/16", "1.0/2", "1/1001"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no shard such as 3/16: the third of sixteen, 1,000 at most"):
        Shard.parse(text)
