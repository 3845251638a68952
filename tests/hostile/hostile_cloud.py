"""Just enough of LlamaCloud to plan and apply against, whose every text is whatever a test wants it to be."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hostile_service import Heard, Line, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCHES = "/api/v2/batches"


@dataclass(frozen=True)
class Words:
    """What the service calls things."""

    directory: str = "Invoices"
    file: str = "a.pdf"
    batch: str = "bat-{number}"
    status: str = "PENDING"
    configuration: str = "An agent"
    version: str = "1"
    project: str = "prj-1"
    failure: str = ""
    failed: int = 422
    extra: Any = None


@dataclass
class Cloud:
    """Its batches; `answer` is what a `Hostile` does with a request."""

    words: Words = field(default_factory=Words)
    headers: Sequence[str] = ()
    batches: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, heard: Heard, line: Line) -> None:
        """Answer as the real one would, but for the words."""
        status, value = self.reply(heard)
        await line.send(as_json(value, *self.headers, status=status))

    def reply(self, heard: Heard) -> tuple[str, Any]:
        """The status and the body, before they are written as JSON."""
        words = self.words
        if heard.path.endswith("/cancel"):
            return self.reply(Heard("GET", heard.target.replace("/cancel", ""), heard.headers, b""))
        if heard.method == "POST":
            if words.failure:
                return f"{words.failed} No", {"detail": words.failure}
            return "201 Created", self.create(json.loads(heard.body))
        last = heard.path.rpartition("/")[2]
        if heard.path == BATCHES:
            wanted = heard.query("source_directory_id")
            items = [it for it in self.batches if wanted in (None, it["source_directory_id"])]
            return "200 OK", {"items": items, "next_page_token": None, "extra": words.extra}
        if heard.path.startswith(BATCHES):
            found = [it for it in self.batches if it["id"] == last]
            return ("200 OK", found[0]) if found else ("404 No", {"detail": words.failure or "none"})
        if last == "files":
            file = {"id": "dfl-1", "display_name": words.file, "deleted_at": None, "updated_at": None}
            return "200 OK", {"items": [file], "next_page_token": None}
        return "200 OK", {
            "id": last,
            "name": words.directory if "directories" in heard.path else words.configuration,
            "project_id": words.project,
            "product_type": "parse_v2",
            "version": words.version,
        }

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Make a batch."""
        batch = {
            "id": self.words.batch.format(number=len(self.batches) + 1),
            "config": asked["config"],
            "project_id": self.words.project,
            "source_directory_id": asked["source_directory_id"],
            "status": self.words.status,
            "created_at": "2026-09-01T00:00:00Z",
            "updated_at": None,
        }
        self.batches.append(batch)
        return batch

    def saying(self, **words: Any) -> Cloud:  # noqa: ANN401 - the fields of `Words`
        """Another one, with other words."""
        return Cloud(replace(self.words, **words), self.headers)
