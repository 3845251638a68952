"""Which database, and how it is reached: read once, and without a word of a password in any message.

What is wrong with a connection string is found here, before libpq sees it: libpq's own messages repeat parts
of it, and where a password holds an '@' or a '/' as it is, such a part is the password's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENCODE = "A user name or password in a URL is percent-encoded: '@' is %40, '/' is %2F, ':' is %3A"

_SHORTEST = 4

#: What is asked of every connection, unless the connection string says otherwise. A peer that has vanished
#: is noticed within a minute, on both sides: the server's end of it is in `connection`.
_USUAL = {
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "40000",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A database, a schema of it, and a project's state in that.

    Attributes:
        shown: what messages call it.
        parameters: libpq's, passwords among them.
        from_variable: the environment variable that the connection string stands in, or "".
    """

    shown: str
    schema: str
    project: str
    parameters: Mapping[str, str] = field(repr=False)
    from_variable: str = ""

    def redacted(self, text: str) -> str:
        """A message of libpq's or the server's, on one line and without the password."""
        for name in ("password", "sslpassword"):
            secret = self.parameters.get(name, "")
            if len(secret) >= _SHORTEST:  # a shorter one stands in innocent words too
                text = text.replace(secret, "***")
        return " ".join(text.split())


def address_of(
    schema: str, project: str, url: str, options: Mapping[str, str], *, from_variable: str = ""
) -> Address:
    """A database from its connection string.

    Args:
        schema: of the database.
        project: whose state it is.
        url: a URL or a text of ``name=value``, as libpq takes them; "" leaves everything to libpq's own
            environment variables and service file.
        options: parameters of libpq beside it, which win.
        from_variable: where the URL stands, for messages.

    Raises:
        SettingsError: it is no connection string, or psycopg is not installed.
    """
    from reconciler.adapters.stores.postgres.connection import psycopg

    module = psycopg()
    where = from_variable or "spec.state.url"
    try:
        given = {
            name: str(value)
            for name, value in module.conninfo.conninfo_to_dict(url).items()
            if value is not None
        }
    except module.ProgrammingError:
        # What libpq says of it would repeat it.
        raise SettingsError(
            "this is no connection string of PostgreSQL",
            where=where,
            next="Expected postgresql://USER@HOST:5432/DATABASE?sslmode=verify-full. " + _ENCODE,
        ) from None
    if "@" in given.get("host", "") or not all(
        port.isdigit() for port in given.get("port", "").split(",") if port
    ):
        raise SettingsError(
            "the connection string does not end its user name and password where it should",
            where=where,
            next=_ENCODE,
        )
    parameters = {**_USUAL, "application_name": f"reconciler {project}", **given, **options}
    parameters["client_encoding"] = "UTF8"
    shown = f"postgres schema {schema}, project {project}"
    return Address(shown, schema, project, parameters, from_variable)
