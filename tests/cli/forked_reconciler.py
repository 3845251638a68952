"""`reconciler` for jobs of many short commands: a process that has imported it forks for each of them.

Half a second of start-up for each of some hundred commands would be most of what the golden sessions, the
pages of docs/ and the tests of examples/ci take. What a fork shares with the process that it came from is
what the imports left, and how it orders what nothing orders (the seed of hashes); arguments, folder,
environment and streams are the caller's. Who called stands for the fork: a signal that it gets is passed on,
the fork dies with it, and it ends as the fork ends. A fork has a number and a group of its own, and none of
the caller's limits or namespaces: what is told the number of a process, stopped, confined or put on a
terminal is tried with the command as it is installed, as are README's tour and the CronJob.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import marshal
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import certifi

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Of Python's modules only those within the interpreter: finding others takes longer than all that it does.
_CLIENT = """\
#!{python} -IS
import marshal, posix, sys, _signal, _socket
line = _socket.socket(_socket.AF_UNIX)
line.connect({address!r})
for number in {signals}:
    _signal.signal(number, lambda number, _: line.send(bytes([number])))
asked = marshal.dumps((sys.argv[1:], posix.getcwdb(), posix.environ))
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
line.sendmsg([len(asked).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
line.sendall(asked)
line.recv(4)
said = line.recv(2)
code = int.from_bytes(said, "big", signed=True) if said else 70
if code < 0:
    if -code != _signal.SIGKILL:
        _signal.signal(-code, _signal.SIG_DFL)
    posix.kill(posix.getpid(), -code)
posix._exit(code)
"""

#: Those that a fork is passed on.
_SIGNALS = [int(number) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)]

# What commands import late, and each fork would import anew: packages that bring nothing of their own.
_LATE = (
    "anyio._backends._asyncio",
    "click._textwrap",
    "concurrent.futures.thread",
    "cryptography.hazmat.primitives.serialization",
    "csv",
    "deepdiff",
    "encodings.utf_8_sig",
    "getpass",
    "hmac",
    "httpx",
    "jsonschema",
    "liteparse",
    "multiprocessing.popen_spawn_posix",
    "multiprocessing.queues",
    "pwd",
    "psycopg",
    "python_multipart",
    "secrets",
    "sqlite3",
    "starlette",
    "uvicorn.lifespan.off",
    "uvicorn.loops.asyncio",
    "uvicorn.protocols.http.httptools_impl",
)


@contextlib.contextmanager
def forked() -> Iterator[Path]:
    """A folder that has such a `reconciler` while the block runs."""
    folder = Path(tempfile.mkdtemp())
    address, client = str(folder / "line"), folder / "reconciler"
    client.write_text(_CLIENT.format(python=sys.executable, address=address, signals=_SIGNALS))
    client.chmod(0o755)
    command = [sys.executable, __file__, address, certifi.where()]  # trusts whom this process trusts
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield folder
        finally:
            server.kill()
            shutil.rmtree(folder)


class Fork:
    """A fork that this process itself stands for, used like a `subprocess.Popen` with one pipe of text.

    Attributes:
        pid: the number of the fork itself, to which signals go.
        stdout: what it says on both streams.
    """

    def __init__(self, quick: Path, words: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        asked = marshal.dumps(
            (list(words), os.fsencode(folder), {os.fsencode(k): os.fsencode(v) for k, v in environ.items()})
        )
        read, write = os.pipe()
        with Path(os.devnull).open() as nothing:
            self._line = socket.socket(socket.AF_UNIX)
            self._line.connect(str(quick / "line"))
            streams = [nothing.fileno(), write, write]
            socket.send_fds(self._line, [len(asked).to_bytes(8, "big")], streams)
            self._line.sendall(asked)
            os.close(write)
        self.stdout = os.fdopen(read)
        self.pid = int.from_bytes(self._line.recv(4), "big")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._hear(socket.MSG_DONTWAIT)

    def _hear(self, flags: int) -> int | None:
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                self.returncode = int.from_bytes(self._line.recv(2, flags), "big", signed=True)
                self._line.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, None]:
        with self.stdout:
            said = self.stdout.read()
        self._hear(0)
        return said, None


def _import_everything(authorities: str) -> None:
    import reconciler

    certifi.where = lambda: authorities

    for name in _LATE:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # so that forks need not copy what they only look at


class _Forks:
    """The forks that run, each with the line to whom it stands for, and what happens to them."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._lines: dict[int, socket.socket] = {}
        self._events = selectors.DefaultSelector()
        self._events.register(listener, selectors.EVENT_READ, self._begin)
        asleep, awake = os.pipe()
        os.set_blocking(awake, False)
        signal.set_wakeup_fd(awake)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # whatever it is, so that the pipe is written to
        self._pipes = (asleep, awake)
        self._events.register(asleep, selectors.EVENT_READ, self._reap)

    def look(self) -> None:
        """Wait until something happens, and do what it asks for."""
        for key, _ in self._events.select():
            key.data()

    def _begin(self) -> None:
        line, _ = self._listener.accept()
        head, streams, _, _ = socket.recv_fds(line, 8, 3)
        asked = b""
        while len(asked) < int.from_bytes(head, "big"):
            asked += line.recv(65536)
        child = os.fork()
        if child == 0:
            self._leave(line)
            words, folder, environ = marshal.loads(asked)
            _run(words, folder, environ, streams)
        for stream in streams:
            os.close(stream)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            line.send(child.to_bytes(4, "big"))
        self._lines[child] = line
        self._events.register(line, selectors.EVENT_READ, lambda: self._pass_on(child))

    def _leave(self, line: socket.socket) -> None:
        """Forget in a fork what belongs to its parent."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._events.close()
        for end in self._pipes:
            os.close(end)
        for other in (self._listener, line, *self._lines.values()):
            other.close()

    def _pass_on(self, child: int) -> None:
        line = self._lines[child]
        try:
            told = line.recv(1)
        except ConnectionResetError:
            told = b""
        if not told:  # who called is dead
            self._events.unregister(line)
        os.kill(child, told[0] if told else signal.SIGKILL)

    def _reap(self) -> None:
        os.read(self._pipes[0], 4096)
        while self._lines:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            line = self._lines.pop(child)
            with contextlib.suppress(KeyError):  # of the dead
                self._events.unregister(line)
            with line, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                line.send(os.waitstatus_to_exitcode(status).to_bytes(2, "big", signed=True))


def _run(words: list[str], folder: bytes, environ: dict[bytes, bytes], streams: list[int]) -> NoReturn:
    from reconciler.cli.main import run_command

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for text in (sys.stdout, sys.stderr):
        assert isinstance(text, io.TextIOWrapper)
        text.reconfigure(line_buffering=text is sys.stderr or text.isatty())
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environ)
    time.tzset()
    if environ.get(b"PYTHONWARNINGS") == b"error":
        warnings.simplefilter("error")
    sys.argv = ["reconciler", *words]
    code = 70
    try:
        code = run_command()
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as ending:  # click's, where a reader has gone
        code = ending.code if isinstance(ending.code, int) else code
    except BaseException:  # noqa: BLE001 - nothing may come to the parent's loop
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _import_everything(sys.argv[2])
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(sys.argv[1])
        there.listen()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # people who stop pytest stop the one that started this
        forks = _Forks(there)
        print("ready", flush=True)  # noqa: T201 - what the parent waits for
        while True:
            forks.look()
