"""What a package that adds a kind of provider imports, in one place: the port, and the nouns it speaks in.

docs/providers.md walks through such a package; `reconciler.testing` holds it to the port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.model.batch import (
    Batch,
    Configuration,
    Directory,
    DirectoryFile,
    FileCounts,
    FileResult,
    JobType,
    Key,
    Status,
)
from reconciler.model.errors import (
    AuthenticationError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    PaymentError,
    RateLimitedError,
    ServiceError,
    SettingsError,
    UnavailableError,
    UnexpectedReplyError,
)
from reconciler.model.intent import (
    Created,
    NotSent,
    Rejected,
    SendOutcome,
    Throttled,
    Unanswered,
    Withheld,
)
from reconciler.model.kind import (
    Block,
    CreatingKind,
    InstalledKind,
    Link,
    Means,
    WatchedKind,
)
from reconciler.model.ports import Creator, Listing, Page, Rows, Watcher
from reconciler.model.watched import FileOutcome, FileStatus, JobOutcome, Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SECRET",
    "AuthenticationError",
    "Batch",
    "Block",
    "Configuration",
    "Created",
    "CreatingKind",
    "Creator",
    "Directory",
    "DirectoryFile",
    "FileCounts",
    "FileOutcome",
    "FileResult",
    "FileStatus",
    "ForbiddenError",
    "InstalledKind",
    "InvalidRequestError",
    "JobOutcome",
    "JobType",
    "Key",
    "Link",
    "Listing",
    "Means",
    "NotFoundError",
    "NotSent",
    "NotSentError",
    "Page",
    "PaymentError",
    "RateLimitedError",
    "Rejected",
    "Rows",
    "SendOutcome",
    "ServiceError",
    "SettingsError",
    "Status",
    "Throttled",
    "Unanswered",
    "UnavailableError",
    "UnexpectedReplyError",
    "Watched",
    "WatchedId",
    "WatchedKind",
    "Watcher",
    "Withheld",
]

#: The schema of an option that is a secret: it names a variable of the environment; see `Block.secret`.
SECRET: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["env"],
    "errorMessage": "expected {env: VARIABLE}: a secret stands in an environment variable, never in a "
    "manifest",
    "properties": {
        "env": {
            "type": "string",
            "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
            "maxLength": 128,
            "patternErrorMessage": "the name of an environment variable has letters, digits and '_', and "
            "does not begin with a digit",
        }
    },
}
