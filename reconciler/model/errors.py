"""The one tree of errors that reconciler raises on purpose.

::

    ReconcilerError                 what went wrong, where, why, and the next command
    ├── ManifestError               faults in manifests or the project file, all of them at once
    ├── SettingsError               an option, environment variable or extra that is missing or wrong
    ├── StateError                  a lockfile or journal that cannot be used as it is
    │   ├── LockHeldError           another run holds the lock (exit 3)
    │   └── LockLostError           this run's lock is no longer its own (exit 3)
    ├── StoppedError                a signal or the time-out came before there was a plan (exit 130, 143, 8)
    ├── StalePlanError              what was approved is not what stands now (exit 4)
    ├── LimitError                  the plan goes past a limit of the project (exit 7)
    ├── PinError                    a pin would change, and the caller said that none may (exit 7)
    └── ServiceError                the provider refused, failed, or could not be understood
        ├── NotSentError            certainly never reached the service: name look-up, connect, TLS, pool
        │   └── GivenUpError        it has not answered for so long that nothing is sent to it any more
        ├── AuthenticationError     401
        ├── PaymentError            402
        ├── ForbiddenError          403
        ├── NotFoundError           404
        ├── InvalidRequestError     400, 409, 422 and every other 4xx
        ├── RateLimitedError        429, with the time to wait when the service named one
        ├── UnavailableError        408, 5xx, time-outs, resets: the outcome is not known
        └── UnexpectedReplyError    a reply outside of the contract, redirects among them

The classes carry data and no behaviour beyond their message; which exit code each one means is the
command line's business. Errors of a dependency are mapped to this tree in one place per dependency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.source import Diagnostic


class ReconcilerError(Exception):
    """Something that a person can act on.

    Attributes:
        what: the fault in one sentence.
        where: a place that the reader can open (``file:line:column``, an address, a URL), or "".
        why: the cause, if it is known, or "".
        next: the command or edit that helps, or "".
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", next: str = "") -> None:  # noqa: A002 - the field's word
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.next = next

    def __str__(self) -> str:
        """The message in one line: where, what, why, next."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.why:
            text += f": {self.why}"
        if self.next:
            text += f". {self.next}"
        return text


class ManifestError(ReconcilerError):
    """Every fault that was found in the manifests, in the order of files and lines."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(item) for item in self.diagnostics))


class SettingsError(ReconcilerError):
    """An option, an environment variable or an installed extra is missing or wrong."""


class StateError(ReconcilerError):
    """The lockfile or its journal cannot be read, written or trusted."""


class LockHeldError(StateError):
    """Somebody else holds the lock: the message says who, since when and from where (C1)."""


class LockLostError(StateError):
    """The lock was taken away while this run held it; nothing was sent after that was seen (C1)."""


class StoppedError(ReconcilerError):
    """The run was to end before it had a plan, so nothing was created.

    Attributes:
        signal: the signal that asked for it; None when the run's time was up.
    """

    def __init__(self, what: str, *, signal: int | None, next: str = "") -> None:  # noqa: A002 - the field's word
        super().__init__(what, next=next)
        self.signal = signal


class StalePlanError(ReconcilerError):
    """The plan that was approved no longer describes what would happen."""


class LimitError(ReconcilerError):
    """The plan creates or cancels more than the project allows (R15)."""


class PinError(ReconcilerError):
    """A name or a pattern stands for something else than the lockfile has (R13)."""


class ServiceError(ReconcilerError):
    """The provider's service refused, failed, or answered outside of its contract.

    Attributes:
        status: the HTTP status code, or None when there was no reply.
        request_id: the service's own name for the request, for its support, or "".
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        why: str = "",
        next: str = "",  # noqa: A002 - the field's word
        status: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(what, where=where, why=why, next=next)
        self.status = status
        self.request_id = request_id


class NotSentError(ServiceError):
    """The request certainly never reached the service, so it may be sent again (C4)."""


class GivenUpError(NotSentError):
    """Nothing is sent to the service any more in this run, since it has answered nothing for long."""


class AuthenticationError(ServiceError):
    """401: the key is missing, wrong, or belongs to another region or project."""


class PaymentError(ServiceError):
    """402: the plan or the credits of the account do not cover this."""


class ForbiddenError(ServiceError):
    """403: the key may not do this."""


class NotFoundError(ServiceError):
    """404: nothing with that id exists for this key."""


class InvalidRequestError(ServiceError):
    """The service refused the request as it stands (400, 409, 422 and every other 4xx)."""


class RateLimitedError(ServiceError):
    """429: too many requests.

    Attributes:
        retry_after: seconds to wait as the service said, or None when it did not say.
    """

    def __init__(
        self,
        what: str,
        *,
        retry_after: float | None,
        where: str = "",
        next: str = "",  # noqa: A002 - the field's word
        request_id: str = "",
    ) -> None:
        super().__init__(what, where=where, next=next, status=429, request_id=request_id)
        self.retry_after = retry_after


class UnavailableError(ServiceError):
    """The request may or may not have been carried out: 408, 5xx, a time-out, a reset."""


class UnexpectedReplyError(ServiceError):
    """The reply does not fit the contract: not JSON, a field missing or of another type, a redirect."""
