"""LlamaCloud's own Python package, sync and async, against the stand-in over real HTTP.

Both clients check each reply against their typed models, so a reply that lacks a required field, or has
null there, is an error and not a surprise later. None of their retries is left to hide anything.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pytest
from llama_cloud import (
    AsyncLlamaCloud,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    LlamaCloud,
    NotFoundError,
    PermissionDeniedError,
    UnprocessableEntityError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Emulator

# The package's own types are not there in the environment that checks types.
Client: TypeAlias = Any
Value: TypeAlias = Any
Call: TypeAlias = "Callable[[Client], Value]"

TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}
# How often a look is repeated until something has come to pass, and the seconds between two looks.
LOOKS, PAUSE = 600, 0.1
PRESET = {"job": {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}}
PARSE = {"product_type": "parse_v2", "tier": "fast", "version": "latest"}
EXTRACT = {
    "product_type": "extract_v2",
    "data_schema": {"type": "object", "properties": {"total": {"type": "number"}}},
}


class Judge(Protocol):
    """One of the two clients, with a way to call it that is the same for both."""

    def do(self, call: Call) -> Value:
        """Make one call, and give what it gives."""

    def pages(self, call: Call) -> list[list[Value]]:
        """Go through a listing as the package does, and give the items of each page."""

    def items(self, call: Call) -> list[Value]:
        """Go through a listing as the package does, and give all items."""

    def close(self) -> None:
        """Close the connections."""


class Sync:
    """The client that blocks."""

    def __init__(self, **options: Value) -> None:
        self._client = LlamaCloud(max_retries=0, _strict_response_validation=True, **options)

    def do(self, call: Call) -> Value:
        return call(self._client)

    def pages(self, call: Call) -> list[list[Value]]:
        return [page.items for page in call(self._client).iter_pages()]

    def items(self, call: Call) -> list[Value]:
        return list(call(self._client))

    def close(self) -> None:
        self._client.close()


class Async:
    """The client that is awaited."""

    def __init__(self, **options: Value) -> None:
        self._client = AsyncLlamaCloud(max_retries=0, _strict_response_validation=True, **options)
        self._runner = asyncio.Runner()

    def do(self, call: Call) -> Value:
        async def one() -> Value:
            return await call(self._client)

        return self._runner.run(one())

    def pages(self, call: Call) -> list[list[Value]]:
        async def every() -> list[list[Value]]:
            first = await call(self._client)
            return [page.items async for page in first.iter_pages()]

        return self._runner.run(every())

    def items(self, call: Call) -> list[Value]:
        async def every() -> list[Value]:
            return [item async for item in call(self._client)]

        return self._runner.run(every())

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Callable[..., Judge]:
    made: Callable[..., Judge] = request.param
    return made


@pytest.fixture
def judge(kind: Callable[..., Judge], emulator: Emulator) -> Iterator[Judge]:
    made = kind(base_url=emulator.url, api_key=emulator.llamacloud_key)
    yield made
    made.close()


def fresh(word: str) -> str:
    """Give a name that no other test has."""
    return f"{word}-{uuid.uuid4()}"


def directory(judge: Judge, files: int = 1) -> str:
    """Make a directory with files in it."""
    made = judge.do(lambda client: client.beta.directories.create(name=fresh("made")))
    for index in range(files):
        upload(judge, made.id, f"{index}.txt")
    found: str = made.id
    return found


def upload(judge: Judge, directory_id: str, name: str, **options: str) -> Value:
    content = (name, b"Total 12.50\n")
    return judge.do(
        lambda client: client.beta.directories.files.upload(directory_id, upload_file=content, **options)
    )


def create(judge: Judge, directory_id: str, config: Value = None) -> Value:
    return judge.do(
        lambda client: client.batches.create(source_directory_id=directory_id, config=config or PRESET)
    )


def cancel(judge: Judge, batch_id: str) -> Value:
    return judge.do(lambda client: client.batches.cancel(batch_id))


def parse_job(judge: Judge, job_id: str) -> Value:
    return judge.do(lambda client: client.parsing.get(job_id)).job


def ended(judge: Judge, batch_id: str) -> Value:
    """Look at a batch until it has ended, and for its rows until they are there."""
    for _ in range(LOOKS):
        batch = judge.do(lambda client: client.batches.get(batch_id, expand=["results"]))
        # A COMPLETED batch may be shown for a while without its rows.
        if batch.status in TERMINAL and (batch.status != "COMPLETED" or batch.results is not None):
            return batch
        time.sleep(PAUSE)
    raise AssertionError(f"{batch_id} has not ended: {batch}")


def test_a_batch_is_created_and_looked_at(judge: Judge, emulator: Emulator) -> None:
    directory_id = directory(judge)
    batch = create(judge, directory_id)
    assert (batch.project_id, batch.source_directory_id) == (emulator.project_id, directory_id)
    assert batch.config.to_dict() == PRESET
    assert batch.results is None
    assert batch.created_at.tzinfo is not None
    found = judge.do(lambda client: client.batches.get(batch.id))
    assert (found.id, found.created_at, found.results) == (batch.id, batch.created_at, None)


def test_a_folder_of_the_root_is_a_directory_that_a_batch_can_take(judge: Judge) -> None:
    [found] = judge.items(lambda client: client.beta.directories.list(name="invoices"))
    files = judge.items(lambda client: client.beta.directories.files.list(found.id))
    assert [file.display_name for file in files] == ["0.txt", "1.txt"]
    batch = ended(judge, create(judge, found.id).id)
    assert batch.status == "COMPLETED"
    assert {row.source_directory_file_id for row in batch.results} == {file.id for file in files}


def test_webhooks_are_taken_with_a_create(judge: Judge) -> None:
    directory_id = directory(judge)
    batch = judge.do(
        lambda client: client.batches.create(
            source_directory_id=directory_id,
            config=PRESET,
            webhook_configuration_ids=["whc-1"],
            webhook_configurations=[
                {"webhook_url": "https://example.com/hook", "webhook_events": ["batch.success"]}
            ],
        )
    )
    assert batch.source_directory_id == directory_id


def test_batches_are_listed_over_several_pages(judge: Judge) -> None:
    directory_id = directory(judge)
    created = [create(judge, directory_id).id for _ in range(5)]
    pages = judge.pages(lambda client: client.batches.list(source_directory_id=directory_id, page_size=2))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [batch.id for page in pages for batch in page] == created[::-1]
    assert {batch.results for page in pages for batch in page} == {None}


def test_batches_are_listed_by_status_and_time(judge: Judge) -> None:
    directory_id = directory(judge)
    first, second = (ended(judge, create(judge, directory_id).id) for _ in range(2))

    def listed(**filters: Value) -> list[str]:
        found = judge.items(lambda client: client.batches.list(source_directory_id=directory_id, **filters))
        return [batch.id for batch in found]

    assert listed(status="COMPLETED") == [second.id, first.id]
    assert listed(status="THROTTLED") == []
    assert listed(created_at_on_or_after=second.created_at) == [second.id]
    assert listed(created_at_on_or_before=first.created_at) == [first.id]


def test_a_parsed_file_leads_to_its_job(judge: Judge, emulator: Emulator) -> None:
    batch = ended(judge, create(judge, directory(judge, files=2)).id)
    assert (batch.status, len(batch.results)) == ("COMPLETED", 2)
    for row in batch.results:
        assert (row.job_reference.type, row.error_message) == ("parse_v2", None)
        job = parse_job(judge, row.job_reference.id)
        assert (job.id, job.project_id) == (row.job_reference.id, emulator.project_id)
        assert job.status in {"COMPLETED", "FAILED"}


def test_a_file_that_a_record_was_extracted_from_leads_to_its_job(judge: Judge, emulator: Emulator) -> None:
    saved = judge.do(lambda client: client.configurations.create(name=fresh("totals"), parameters=EXTRACT))
    config = {"job": {"type": "extract_v2", "configuration_id": saved.id}}
    batch = ended(judge, create(judge, directory(judge), config).id)
    [row] = batch.results
    job = judge.do(lambda client: client.extract.get(row.job_reference.id))
    assert (row.job_reference.type, job.id) == ("extract_v2", row.job_reference.id)
    assert (job.project_id, job.file_input) == (emulator.project_id, row.source_directory_file_id)
    assert job.status in {"COMPLETED", "FAILED"}


def test_a_batch_is_cancelled_once(judge: Judge) -> None:
    directory_id = directory(judge)
    # A batch may end before it is cancelled, and is then refused like any other that has ended.
    for _ in range(LOOKS):
        batch = create(judge, directory_id)
        try:
            reply = cancel(judge, batch.id)
        except ConflictError:
            continue
        assert (reply.id, reply.results) == (batch.id, None)
        break
    found = ended(judge, batch.id)
    assert found.status == "CANCELLED"
    with pytest.raises(ConflictError):
        cancel(judge, batch.id)


def test_a_directory_is_created_updated_listed_and_deleted(judge: Judge, emulator: Emulator) -> None:
    name = fresh("invoices")
    made = judge.do(
        lambda client: client.beta.directories.create(
            name=name, description="Of the year", type="ephemeral", system_metadata={"run": 1}
        )
    )
    assert (made.name, made.description, made.type) == (name, "Of the year", "ephemeral")
    assert (made.project_id, made.system_metadata, made.deleted_at) == (emulator.project_id, {"run": 1}, None)
    assert judge.do(lambda client: client.beta.directories.get(made.id)).to_dict() == made.to_dict()
    renamed = judge.do(lambda client: client.beta.directories.update(made.id, name=f"{name}-2"))
    assert (renamed.id, renamed.name, renamed.description) == (made.id, f"{name}-2", "Of the year")

    def listed(**filters: Value) -> list[Value]:
        return judge.items(lambda client: client.beta.directories.list(name=f"{name}-2", **filters))

    assert [item.id for item in listed()] == [made.id]
    assert [item.id for item in listed(type="ephemeral")] == [made.id]
    assert [item.id for item in listed(types=["user", "index"])] == []
    assert judge.do(lambda client: client.beta.directories.delete(made.id)) is None
    assert listed() == []
    [deleted] = listed(include_deleted=True)
    assert deleted.deleted_at is not None
    with pytest.raises(NotFoundError):
        judge.do(lambda client: client.beta.directories.get(made.id))


def test_directories_are_listed_over_several_pages(judge: Judge) -> None:
    name = fresh("same")
    made = {judge.do(lambda client: client.beta.directories.create(name=name)).id for _ in range(5)}
    pages = judge.pages(lambda client: client.beta.directories.list(name=name, page_size=2))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {item.id for page in pages for item in page} == made


def test_a_file_is_uploaded_updated_moved_and_deleted(judge: Judge) -> None:
    directory_id, other = directory(judge, files=0), directory(judge, files=0)
    metadata = {"year": 2026, "paid": True, "tags": ["a", "b"], "note": None}
    made = upload(
        judge, directory_id, "sent.txt", display_name="a.txt", unique_id="a-1", metadata=json.dumps(metadata)
    )
    assert (made.directory_id, made.display_name, made.unique_id) == (directory_id, "a.txt", "a-1")
    assert (made.metadata, made.deleted_at, made.download_url) == (metadata, None, None)

    def found(**options: Value) -> Value:
        return judge.do(
            lambda client: client.beta.directories.files.get(
                made.id, **{"directory_id": directory_id, **options}
            )
        )

    assert found(expand=["download_url"]).to_dict() == made.to_dict()
    changed = judge.do(
        lambda client: client.beta.directories.files.update(
            made.id, directory_id=directory_id, display_name="b.txt", metadata={"year": 2027}
        )
    )
    assert (changed.display_name, changed.unique_id, changed.metadata) == ("b.txt", "a-1", {"year": 2027})
    judge.do(
        lambda client: client.beta.directories.files.update(
            made.id, directory_id=directory_id, target_directory_id=other
        )
    )
    with pytest.raises(NotFoundError):
        found()
    assert found(directory_id=other).display_name == "b.txt"
    judge.do(lambda client: client.beta.directories.files.delete(made.id, directory_id=other))
    with pytest.raises(NotFoundError):
        found(directory_id=other)
    [deleted] = judge.items(lambda client: client.beta.directories.files.list(other, include_deleted=True))
    assert deleted.deleted_at is not None


def test_files_are_listed_over_several_pages_and_by_every_filter(judge: Judge) -> None:
    directory_id = directory(judge, files=4)
    last = upload(judge, directory_id, "last.pdf", unique_id="the-last")

    def pages(**filters: Value) -> list[list[str]]:
        given = judge.pages(lambda client: client.beta.directories.files.list(directory_id, **filters))
        return [[file.display_name for file in page] for page in given]

    assert pages(page_size=2) == [["0.txt", "1.txt"], ["2.txt", "3.txt"], ["last.pdf"]]
    assert pages(display_name="1.txt") == [["1.txt"]]
    assert pages(display_name_contains=".pd") == [["last.pdf"]]
    assert pages(unique_id="the-last") == [["last.pdf"]]
    assert pages(updated_at_on_or_after=last.updated_at) == [["last.pdf"]]
    assert pages(updated_at_on_or_before=last.created_at, page_size=100) == [
        ["0.txt", "1.txt", "2.txt", "3.txt", "last.pdf"]
    ]


def test_a_file_without_a_unique_id_gets_one_of_its_own(judge: Judge) -> None:
    directory_id = directory(judge, files=2)
    files = judge.items(lambda client: client.beta.directories.files.list(directory_id))
    assert len({file.unique_id for file in files}) == 2


def test_a_configuration_is_saved_replaced_changed_listed_and_deleted(judge: Judge) -> None:
    name = fresh("plain")
    made = judge.do(lambda client: client.configurations.create(name=name, parameters=PARSE))
    assert (made.name, made.product_type, made.parameters.tier) == (name, "parse_v2", "fast")
    again = judge.do(
        lambda client: client.configurations.create(name=name, parameters={**PARSE, "tier": "agentic"})
    )
    assert (again.id, again.parameters.tier) == (made.id, "agentic")
    assert again.version != made.version
    other = judge.do(lambda client: client.configurations.create(name=name, parameters=EXTRACT))
    assert other.id != made.id

    def listed(**filters: Value) -> set[str]:
        found = judge.items(lambda client: client.configurations.list(name=name, page_size=1, **filters))
        return {item.id for item in found}

    assert listed() == listed(latest_only=True) == {made.id, other.id}
    assert listed(product_type=["extract_v2", "split_v1"]) == {other.id}
    changed = judge.do(lambda client: client.configurations.update(made.id, name=f"{name}-2"))
    assert (changed.id, changed.name, changed.parameters.tier) == (made.id, f"{name}-2", "agentic")
    assert judge.do(lambda client: client.configurations.retrieve(made.id)).to_dict() == changed.to_dict()
    assert judge.do(lambda client: client.configurations.delete(made.id)) is None
    assert listed() == {other.id}
    with pytest.raises(NotFoundError):
        judge.do(lambda client: client.configurations.retrieve(made.id))


def test_a_preset_is_looked_up_as_a_configuration(judge: Judge) -> None:
    preset = judge.do(lambda client: client.configurations.retrieve("cfg-PARSE_AGENTIC"))
    assert (preset.id, preset.product_type, preset.parameters.tier) == (
        "cfg-PARSE_AGENTIC",
        "parse_v2",
        "agentic",
    )


def test_there_is_one_project(judge: Judge, emulator: Emulator) -> None:
    [project] = judge.do(lambda client: client.projects.list())
    assert project.id == emulator.project_id
    assert judge.do(lambda client: client.projects.get(project.id)).to_dict() == project.to_dict()
    assert judge.do(lambda client: client.projects.list(project_name="another")) == []


def test_what_is_not_there_is_not_found(judge: Judge) -> None:
    calls: list[Call] = [
        lambda client: client.batches.get("bat-none"),
        lambda client: client.batches.cancel("bat-none"),
        lambda client: client.parsing.get("pjb-none"),
        lambda client: client.extract.get("exj-none"),
        lambda client: client.beta.directories.get("dir-none"),
        lambda client: client.beta.directories.update("dir-none", name="x"),
        lambda client: client.beta.directories.delete("dir-none"),
        lambda client: client.beta.directories.files.get("dfl-none", directory_id="dir-invoices"),
        lambda client: client.beta.directories.files.delete("dfl-none", directory_id="dir-invoices"),
        lambda client: client.beta.directories.files.upload("dir-none", upload_file=("x", b"x")),
        lambda client: client.configurations.retrieve("cfg-none"),
        lambda client: client.configurations.delete("cfg-none"),
        lambda client: client.projects.get("prj-none"),
    ]
    for call in calls:
        with pytest.raises(NotFoundError) as raised:
            judge.do(call)
        assert isinstance(raised.value.body, dict)
        assert "none" in raised.value.body["detail"]


def test_what_is_invalid_is_refused_with_its_place(judge: Judge) -> None:
    table: list[tuple[Call, list[str]]] = [
        (lambda client: client.batches.list(page_size=0), ["query", "page_size"]),
        (lambda client: client.batches.list(page_token="made up"), ["query", "page_token"]),
        (lambda client: client.batches.get("bat-none", expand=["all"]), ["query", "expand"]),
        (
            lambda client: client.batches.create(source_directory_id="dir-invoices", config={}),
            ["body", "config", "job"],
        ),
        (lambda client: client.beta.directories.create(name="a/b"), ["body", "name"]),
        (
            lambda client: client.configurations.create(name="", parameters=PARSE),
            ["body", "name"],
        ),
    ]
    for call, place in table:
        with pytest.raises(UnprocessableEntityError) as raised:
            judge.do(call)
        assert isinstance(raised.value.body, dict)
        assert [fault["loc"] for fault in raised.value.body["detail"]] == [place]


def test_what_cannot_run_is_a_bad_request(judge: Judge) -> None:
    with pytest.raises(BadRequestError, match="0 files"):
        create(judge, "dir-empty")
    with pytest.raises(BadRequestError):
        create(
            judge, "dir-invoices", {"job": {"type": "extract_v2", "configuration_id": "cfg-PARSE_AGENTIC"}}
        )
    with pytest.raises(BadRequestError):
        judge.do(
            lambda client: client.beta.directories.files.upload(
                "dir-invoices", upload_file=("empty.txt", b"")
            )
        )


def test_another_project_is_refused(judge: Judge) -> None:
    with pytest.raises(PermissionDeniedError):
        judge.do(lambda client: client.projects.list(extra_query={"project_id": "prj-other"}))
    with pytest.raises(PermissionDeniedError):
        judge.do(lambda client: client.batches.get("bat-none", project_id="prj-other"))


@pytest.mark.parametrize("key", ["llx-wrong", "tlnc_emulator"])
def test_a_wrong_key_is_refused(kind: Callable[..., Judge], emulator: Emulator, key: str) -> None:
    judge = kind(base_url=emulator.url, api_key=key)
    with pytest.raises(AuthenticationError):
        judge.do(lambda client: client.projects.list())
    judge.close()


def test_a_reply_has_one_date(judge: Judge) -> None:
    # A web server may add one of its own, and a client would then read the wrong clock.
    reply = judge.do(lambda client: client.projects.with_raw_response.list())
    assert len(reply.headers.get_list("date")) == 1
