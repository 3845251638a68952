"""Speaking to the service: objects that are read with their tag, and written on a condition.

Nothing is retried behind our back: a conditional write whose reply was lost would meet its own effect, and
look as if another had written. What became of it is found out by reading.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.model.errors import SettingsError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

_TRIES = 4
_PAUSE = 0.5  # seconds between two tries
_CREDENTIALS = (
    "They need to get, put, list and delete objects below that path, and come from the environment, such as"
    " AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS or AZURE_STORAGE_ACCOUNT_KEY"
)
_PROBE = "probe/"
# What obstore's client says of a request that came to nothing, before it says why.
_FRAME = re.compile(r"(Generic \w+ error: )?Error performing \w+ \S+ in \S+ - ")
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")


class Object(NamedTuple):
    """An object as it was read."""

    content: bytes
    tag: str
    changed: datetime


class ConflictError(Exception):
    """The object is not what the write was conditional on."""


def obstore() -> Any:  # noqa: ANN401 - a module
    """The package.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import obstore as module
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise SettingsError(
            "state in an object store needs obstore",
            next="Install it: pip install 'batch-reconciler[object]'",
        ) from error
    return module


class Bucket:
    """A place in a bucket that objects are named relative to."""

    def __init__(self, url: str, prefix: str, options: Mapping[str, Any], client: Mapping[str, Any]) -> None:
        """Connect to nothing yet.

        Args:
            url: ``s3://``, ``gs://`` or ``az://``, the bucket, and a path in it.
            prefix: added to that path.
            options: of the kind of service, by obstore's names; credentials come from the environment.
            client: of the HTTP client, by obstore's names.

        Raises:
            SettingsError: obstore is not installed, or does not take these.
        """
        module = obstore()
        self.shown = f"{url.rstrip('/')}/{prefix}"
        try:
            self._store = module.store.from_url(
                self.shown,
                **options,
                client_options={"timeout": "10s", "connect_timeout": "10s", **client},
                retry_config={"max_retries": 0},
            )
        except (module.exceptions.BaseError, ValueError) as error:
            raise SettingsError(
                "the object store cannot be used", where=self.shown, why=_first_line(str(error))
            ) from None

    def read(self, name: str) -> Object | None:
        """An object, or None where there is none.

        Raises:
            StateError: the service cannot be used.
        """
        module = obstore()
        for last in _tries():
            try:
                with self._explained(name):
                    found = module.get(self._store, name)
                    content = bytes(found.bytes())
            except FileNotFoundError:
                return None
            except UnreachableError:
                if last:
                    raise
                continue
            return Object(content, found.meta["e_tag"] or "", found.meta["last_modified"])
        raise AssertionError("the last try raises")

    def write(self, name: str, content: bytes, *, over: str | None) -> str:
        """Write an object whole, if it is still what it was; gives its new tag.

        Each content has to be one that was never written before, since a tag may be but its digest.

        Args:
            name: of the object.
            content: what is to stand there.
            over: the tag of what stands there; None for nothing.

        Raises:
            ConflictError: something else stands there.
            StateError: the service cannot be used; whether it was written is then not known.
        """
        unknown = False
        for last in _tries():
            try:
                return self._write(name, content, over)
            except ConflictError:
                # An earlier try may have come through after all.
                there = self.read(name) if unknown else None
                if there is not None and there.content == content:
                    return there.tag
                raise
            except UnreachableError:
                unknown = True
                if last:
                    raise
        raise AssertionError("the last try raises")

    def _write(self, name: str, content: bytes, over: str | None) -> str:
        module = obstore()
        errors = module.exceptions
        mode = "create" if over is None else {"e_tag": over}
        try:
            with self._explained(name):
                return str(module.put(self._store, name, content, mode=mode, use_multipart=False)["e_tag"])
        except (errors.AlreadyExistsError, errors.PreconditionError):
            raise ConflictError(name) from None

    def put(self, name: str, content: bytes) -> str:
        """Write an object that nobody else writes; gives its tag.

        Raises:
            StateError: the service cannot be used.
        """
        with self._explained(name):
            return str(obstore().put(self._store, name, content, use_multipart=False)["e_tag"])

    def names(self, prefix: str) -> list[str]:
        """The names of all objects whose name begins so, sorted.

        Raises:
            StateError: the service cannot be used.
        """
        with self._explained(prefix):
            return sorted(item["path"] for page in obstore().list(self._store, prefix) for item in page)

    def probe(self) -> datetime:
        """Find out whether writes are conditional here; gives the service's own time.

        Raises:
            StateError: the service ignores a condition, or cannot be used.
        """
        name = f"{_PROBE}{uuid.uuid4().hex}"
        first = self.write(name, b"first", over=None)
        ignored = []
        with contextlib.suppress(ConflictError):
            self._write(name, b"created twice", None)
            ignored.append("If-None-Match, which keeps an object from being created twice")
        if not ignored:
            second = self.write(name, b"second", over=first)
            with contextlib.suppress(ConflictError):
                self._write(name, b"over an older one", first)
                ignored.append("If-Match, which keeps a write from another's")
            if not ignored and not second:
                ignored.append("ETag")
        there = self.read(name)
        with contextlib.suppress(Exception):  # who may not delete leaves a few bytes behind
            obstore().delete(self._store, name)
        if ignored or there is None:
            raise StateError(
                "this object store ignores what makes a write safe",
                where=self.shown,
                why=f"it took no notice of {ignored[0]}" if ignored else "what was written is not there",
                next="Keep the state in one that honours conditional writes (S3, GCS, Azure, MinIO), or in"
                " PostgreSQL",
            )
        return there.changed

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Map what the service says. Conditions that do not hold and objects that are not there pass."""
        errors = obstore().exceptions
        # What the probe writes has a name of its own each time, and is gone again.
        where = self.shown if name.startswith(_PROBE) else f"{self.shown}/{name}"
        try:
            yield
        except (errors.AlreadyExistsError, errors.PreconditionError):
            raise
        except FileNotFoundError as error:
            if (said := _said(error)).startswith(("NoSuchBucket", "ContainerNotFound")):
                raise StateError(
                    "there is no such bucket",
                    where=self.shown,
                    why=said,
                    next="Make it, or correct state.url",
                ) from None
            raise
        except errors.BaseError as error:
            raise _mapped(error, where) from None  # obstore's own text is a page long


class UnreachableError(StateError):
    """The service did not answer, or said that it cannot; whether it did anything is not known."""


def _mapped(error: Exception, where: str) -> StateError:
    errors = obstore().exceptions
    said = _said(error)
    if "RequestTimeTooSkewed" in said:
        help_ = "Set it, as by NTP: the service's signatures depend on it, though leases do not"
        return StateError("the clock of this machine is off", where=where, why=said, next=help_)
    match error:
        case errors.PermissionDeniedError() | errors.UnauthenticatedError():
            what, help_ = "the object store does not let these credentials do that", _CREDENTIALS
            return StateError(what, where=where, why=said, next=help_)
        case _:
            what, help_ = (
                "the object store cannot be reached",
                "Check state.url and the network; run it again",
            )
            return UnreachableError(what, where=where, why=said, next=help_)


def _said(error: Exception) -> str:
    """The service's own code and message where it gave one: the rest of the text may hold anything."""
    text = str(error)
    code, message = _CODE.search(text), _MESSAGE.search(text)
    if code:
        return code[1] + (f": {message[1]}" if message else "")
    return _FRAME.sub("", _first_line(text))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]


def _tries() -> Iterator[bool]:
    """Whether this is the last of a few tries, with a pause before each but the first."""
    for number in range(1, _TRIES + 1):
        yield number == _TRIES
        time.sleep(_PAUSE)
