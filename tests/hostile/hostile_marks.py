"""Secrets that cannot be mistaken for anything else, and the search for them in every likely form."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: A key whose middle has what JSON, URLs, shells and HTML each write in another way, and whose ends have not.
KEY = "llx-MARKED7/k3y+Qx=<w&\"e\\r'y>%41Zp9Zq5Vw2T"
SIGNING = "whs-SIGNED5/s1g+Hn=<t&\"u\\r'e>%42Kd4Jf8Gm3R"
HEADER = "hdr-SENT9aB/v4l+Ue=<o&\"f\\h'd>%43Rt6Yu1Io7P"
PROXY = "pxy-PASSED2mN5bV8cX3zL6kJ"

SECRETS: Mapping[str, str] = {"key": KEY, "signing secret": SIGNING, "header": HEADER, "proxy": PROXY}

# Characters at either end of a secret: half of it is too much as well.
_PIECE = 11


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """Ways to write a secret, by name, in lower case: what is searched is put in lower case as well."""
    ascii_ = secret.encode()
    yield from _named("as it is", secret, secret[:_PIECE], secret[-_PIECE:], secret[::-1])
    yield from _named("for JSON", json.dumps(secret)[1:-1], json.dumps(secret).replace("/", "\\/")[1:-1])
    yield from _named("as JSON's escapes", "".join(f"\\u{ord(char):04x}" for char in secret[:_PIECE]))
    yield from _named("for a URL", quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield from _named("in percent", "".join(f"%{byte:02x}" for byte in ascii_[:_PIECE]))
    yield from _named("in hex", ascii_.hex())
    yield from _named("for Python", repr(secret)[1:-1])
    yield "in UTF-16", secret.lower().encode("utf-16-le")
    for skipped in range(3):  # base64 has three alignments; the first and last signs depend on neighbours
        whole = base64.b64encode(b"x" * skipped + ascii_)[4:-4]
        yield from _named(
            "in base64", whole.decode(), whole.translate(bytes.maketrans(b"+/", b"-_")).decode()
        )


def _named(name: str, *texts: str) -> Iterator[tuple[str, bytes]]:
    for text in texts:
        yield name, text.lower().encode()


_FORMS = [(name, form, text) for name, secret in SECRETS.items() for form, text in forms(secret)]


def found_in(content: bytes) -> list[str]:
    """Which secrets stand in some bytes, and in which form."""
    searched = content.lower()
    return sorted({f"{name}, {form}" for name, form, text in _FORMS if text in searched})


def found_below(folders: Iterable[Path]) -> list[str]:
    """Which secrets stand in the files below some folders, or in the files' names."""
    found: list[str] = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            found += [f"{path}: {what}" for what in found_in(content + b"\n" + str(path).encode())]
    return found
