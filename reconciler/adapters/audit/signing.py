"""Heads that somebody with a key vouched for: Ed25519, so that the public key alone tells.

A head names a line, and that line's hash all lines before it, in its own file and in those that the header
follows. So one signature vouches for everything up to there. A ``.signed`` file beside the audit files holds
one: what a run leaves has its own head, and a checkpoint those of all files. What one looks like is in
``schemas/audit-signed.json``. The private key comes from the environment, as text or as a file's path, and
is never written or shown. `cryptography` is imported where a key is at hand, and not before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.adapters.audit.lines import (
    FORMAT_VERSION,
    as_text,
    explained,
    heads_of,
    quoted,
    read_text,
    stamp,
)
from reconciler.model.audit import AuditFault, SignedHeads
from reconciler.model.errors import SettingsError
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: The variable that has the private key: its text (PEM), or the path of the file that has it.
KEY_VARIABLE = "RECONCILER_AUDIT_KEY"

SUFFIX = ".signed"

# More than any file of heads has.
_LONGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What signatures are held against.

    Attributes:
        name: the digest by which signatures name their key.
    """

    name: str
    key: Ed25519PublicKey


class Signer:
    """Signs heads. Its repr does not show the key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = _public(key.public_key())

    def sign(self, heads: Iterable[str], time: datetime) -> bytes:
        """What a ``.signed`` file holds: one line."""
        content: dict[str, object] = {
            "formatVersion": FORMAT_VERSION,
            "heads": sorted(heads),
            "key": self.public.name,
            "kind": "signed",
            "time": stamp(time),
        }
        signature = base64.b64encode(self._key.sign(as_text(content))).decode()
        return as_text({**content, "signature": signature}) + b"\n"


def signer_of(environ: Mapping[str, str]) -> Signer | None:
    """Who signs, if the environment has a key.

    Raises:
        SettingsError: it has one that cannot be used.
    """
    value = environ.get(KEY_VARIABLE, "")
    if not value:
        return None
    try:
        text = value.encode() if "-----BEGIN" in value else Path(value).read_bytes()
    except (OSError, ValueError) as error:
        why = (error.strerror or "") if isinstance(error, OSError) else ""
        raise _unusable(why or "it is neither a key nor the path of a file that can be read") from None
    _needs_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(text, password=None)
    except TypeError:
        raise _unusable("it is encrypted, and nobody is there to ask for its password") from None
    except Exception:  # noqa: BLE001 - of several kinds, and what they say may repeat the key
        raise _unusable("it is no private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable("it is a private key of another kind than Ed25519")
    return Signer(key)


def generate(path: Path) -> tuple[Path, PublicKey]:
    """Make a new pair of keys: the private one at a path, for its owner alone, the public one beside it.

    Raises:
        SettingsError: one of the two exists, or cannot be written. Nothing is overwritten.
    """
    _needs_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    beside = path.with_name(path.name + ".pub")
    for there in (path, beside):
        if os.path.lexists(there):
            raise SettingsError(
                "there is a file already, and no key is overwritten",
                where=str(there),
                next="Choose another name",
            )
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        _write_new(path, private, 0o600)
        _write_new(beside, public, 0o644)
    except OSError as error:
        raise SettingsError(
            "the keys cannot be written", where=str(error.filename or path), why=error.strerror or ""
        ) from error
    return beside, _public(key.public_key())


def read_public_key(path: Path) -> PublicKey:
    """A public key from its file.

    Raises:
        SettingsError: the file cannot be read, or has no such key.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            "the public key cannot be read", where=str(path), why=error.strerror or ""
        ) from error
    _needs_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(text)
    except Exception:  # noqa: BLE001 - of several kinds, and a private key by mistake is not to be repeated
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(
            "this is no public key of the kind Ed25519 in PEM form",
            where=str(path),
            next="`reconciler audit keygen FILE` makes FILE and FILE.pub: name the latter",
        )
    return _public(key)


def signed_heads(
    folder: Path, others: Iterable[Path], keys: Iterable[PublicKey]
) -> tuple[list[SignedHeads], list[AuditFault]]:
    """The heads whose signatures hold with one of the keys, and a fault for every other.

    Args:
        folder: the audit files, with the ``.signed`` files beside them.
        others: checkpoints that were kept elsewhere.
        keys: any of them will do.

    Raises:
        StateError: a file cannot be read.
    """
    by_name = {key.name: key for key in keys}
    with explained(folder, "read"):
        beside = sorted(
            path for path in folder.glob(f"*{SUFFIX}") if path.is_file()
        )  # a folder that is not there has none
    good: list[SignedHeads] = []
    faults: list[AuditFault] = []
    for path, shown in (
        *((path, f"{folder.name}/{path.name}") for path in beside),
        *((path, str(path)) for path in others),
    ):
        with explained(path, "read"), path.open("rb") as file:
            raw = file.read(_LONGEST)
        there = _held(raw, shown, by_name)
        if isinstance(there, SignedHeads):
            good.append(there)
        else:
            way_out = (
                "Restore it from git or from where it was kept. A signature of an older key holds with its"
                " public key: --public-key may be given several times"
            )
            faults.append(AuditFault(shown, 1, there, way_out))
    return good, faults


def _held(raw: bytes, shown: str, keys: Mapping[str, PublicKey]) -> SignedHeads | str:
    """What a file vouches for, or what is wrong with it."""
    value = read_text(raw)
    if value is None or value.get("kind") != "signed":
        return "is not what this tool signs"
    if value.get("formatVersion") != FORMAT_VERSION:
        return f"has format version {quoted(value.get('formatVersion'))}; this tool knows {FORMAT_VERSION}"
    name, time = str(value.get("key")), str(value.get("time"))
    if name not in keys:
        return f"is signed with another key: {quoted(name)}"
    from cryptography.exceptions import InvalidSignature

    content = {field: item for field, item in value.items() if field != "signature"}
    try:
        signature = base64.b64decode(str(value.get("signature")), validate=True)
        keys[name].key.verify(signature, as_text(content))
    except (InvalidSignature, binascii.Error, ValueError):
        return "was changed after it was signed, or was never signed: its signature does not hold"
    return SignedHeads(heads_of(value), time, name, Source(shown))


def _public(key: Ed25519PublicKey) -> PublicKey:
    return PublicKey("sha256:" + hashlib.sha256(key.public_bytes_raw()).hexdigest(), key)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(file, "wb") as opened:
        os.fchmod(file, mode)  # whatever the umask says
        opened.write(content)


def _needs_cryptography() -> None:
    try:
        import cryptography  # noqa: F401 - whether it is there
    except ImportError as error:
        raise SettingsError(
            "signing the audit log needs the package cryptography",
            next="Install it: pip install 'batch-reconciler[sign]'",
        ) from error


def _unusable(why: str) -> SettingsError:
    return SettingsError(
        f"the key in {KEY_VARIABLE} cannot be used",
        why=why,
        next=f"Set it to the private key that `reconciler audit keygen FILE` made, or to FILE;"
        f" unset {KEY_VARIABLE} to write the audit log without signatures",
    )
