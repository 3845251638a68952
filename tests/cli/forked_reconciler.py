"""`reconciler` for jobs of many short commands: a process that has imported it forks for each of them.

Half a second of start-up for each of some hundred commands would be most of what the golden sessions and the
tests of examples/ci take. What a fork shares with the process that it came from is what the imports left;
arguments, folder, environment and streams are the caller's. No signal reaches a fork: what is stopped or runs
beside others is tried with the command as it is installed, as are README's tour and the CronJob.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(line, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    line.sendall(asked)
    code = line.recv(1)
sys.exit(code[0] if code else "the command died")
"""


@contextlib.contextmanager
def forked() -> Iterator[Path]:
    """A folder that has such a `reconciler` while the block runs."""
    folder = Path(tempfile.mkdtemp())
    address, client = str(folder / "line"), folder / "reconciler"
    client.write_text(_CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    with subprocess.Popen([sys.executable, __file__, address], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield folder
        finally:
            server.kill()
            shutil.rmtree(folder)


def _serve(address: str) -> None:
    # Whatever a command imports late would be imported by each fork anew.
    import httpx  # noqa: F401
    import jsonschema  # noqa: F401

    import reconciler.adapters.forges.github
    import reconciler.adapters.forges.gitlab
    import reconciler.adapters.git.push
    import reconciler.adapters.providers.llamacloud
    import reconciler.api.pushing
    import reconciler.engine.apply
    import reconciler.render.markdown  # noqa: F401
    from reconciler.cli.main import run_command  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a fork but who is on its line
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)  # noqa: T201 - what the parent waits for
        while True:
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(line)
            line.close()


def _run(line: socket.socket) -> NoReturn:
    from reconciler.cli.main import run_command

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, _, _ = socket.recv_fds(line, 8, 3)
    with line.makefile("rb") as file:
        words, folder, environ = json.loads(file.read(int.from_bytes(head, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["reconciler", *words]
    code = 1
    try:
        code = run_command()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        line.send(bytes([code]))
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
