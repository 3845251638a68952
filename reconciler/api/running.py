"""What running takes: an event loop, the environment, time, who it is, and listeners that may fail."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.model.batch import Address
from reconciler.model.errors import LockHeldError, SettingsError
from reconciler.model.events import Planned, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from contextlib import AbstractContextManager

    from reconciler.model.events import Event, Listener
    from reconciler.model.ports import Clock

_Result = TypeVar("_Result")
_Held = TypeVar("_Held")

#: How many requests are under way at once, unless said otherwise.
PARALLELISM = 8

#: The same of what creates nothing. Reads cost no money, they mostly wait for the service, and one that finds
#: it too much says so.
READING = 16


def run_to_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run to the end, also where an event loop runs already, as in a notebook.

    The result does not go through asyncio's task: on its way out, asyncio.run has Python's signal module
    make the repr of a handler that holds the task, and with it that of the whole plan.
    """
    import asyncio  # late: with TLS and all, it takes longer than what only looks at files does

    results: list[_Result] = []

    async def main() -> None:
        results.append(await work)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(main())
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, main()).result()
    return results[0]


def once_broken_silent(listen: Listener) -> Listener:
    """A listener that is not called again after it failed: what is in flight must not suffer for it.

    A closed pipe, as of `reconciler apply | head`, is no news to anybody; all else is logged.
    """
    works = True

    def guarded(event: Event) -> None:
        nonlocal works
        if works:
            try:
                listen(event)
            except Exception as error:
                if isinstance(event, Planned):
                    raise  # nothing is in flight, and a plan that nobody saw shall not be carried out
                works = False
                if isinstance(error, OSError):
                    return
                logging.getLogger(__name__).exception("a listener failed and is not called again")

    return guarded


def silent(event: Event) -> None:
    """Nobody listens."""


@contextlib.contextmanager
def awaited(
    take: Callable[[float], AbstractContextManager[_Held]], timeout: float, listen: Listener
) -> Iterator[_Held]:
    """Hold a lock, and tell by whom it is held where it has to be waited for.

    Args:
        take: takes it, waiting up to so many seconds.
        timeout: seconds.
        listen: told who holds it.

    Raises:
        LockHeldError: somebody else held it all that time.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(take(0.0))
        except LockHeldError as error:
            if timeout <= 0:
                raise
            who = error.what
        else:
            yield held
            return
        listen(Waiting(who, timeout))
        yield stack.enter_context(take(timeout))


def address_of(text: str) -> Address:
    """Read an address.

    Raises:
        SettingsError: it is none.
    """
    try:
        return Address.parse(text)
    except ValueError as error:
        raise SettingsError(str(error), next="`reconciler plan --verbose` lists the addresses") from error


def environment_of(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    """These environment variables, or those of this process."""
    return os.environ if environ is None else environ


def system_clock() -> Clock:
    """The machine's time."""
    from reconciler.adapters.clock import SystemClock

    return SystemClock()


def holder() -> str:
    """Who this process is, for those who find the lock held."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"
