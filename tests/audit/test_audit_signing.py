"""Keys and signatures: who can read them, what is refused, and that a changed one does not hold."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from audit_written import NOON, write
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jsonschema import Draft202012Validator

from reconciler.adapters.audit import AuditFolder, generate, read_public_key, signed_heads, signer_of
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from reconciler.adapters.audit.signing import Signer

SCHEMA = Path(__file__).parents[2] / "schemas" / "audit-signed.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / "audit"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    generate(tmp_path / "key")
    return tmp_path / "key"


def a_signer(key: Path) -> Signer:
    signer = signer_of({"RECONCILER_AUDIT_KEY": str(key)})
    assert signer is not None
    return signer


def test_the_private_key_is_for_its_owner_alone_and_nothing_is_overwritten(tmp_path: Path) -> None:
    beside, made = generate(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert beside == tmp_path / "key.pub"
    assert read_public_key(beside).name == made.name
    before = (tmp_path / "key").read_bytes()
    assert b"PRIVATE" in before
    assert b"PRIVATE" not in beside.read_bytes()
    with pytest.raises(SettingsError, match="no key is overwritten"):
        generate(tmp_path / "key")
    (tmp_path / "key").rename(tmp_path / "other")
    with pytest.raises(SettingsError, match="no key is overwritten"):
        generate(tmp_path / "key")  # the public one is still there
    assert not (tmp_path / "key").exists()
    assert (tmp_path / "other").read_bytes() == before


def test_a_checkpoint_satisfies_its_schema(folder: Path, key: Path) -> None:
    head = write(folder, "run-1")
    written, count = AuditFolder(folder).checkpoint(a_signer(key), NOON)
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    document = json.loads(written.read_bytes())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []
    assert (document["heads"], count) == ([head], 1)


def test_a_checkpoint_is_not_written_over_another_or_about_nothing(folder: Path, key: Path) -> None:
    with pytest.raises(SettingsError, match="no audit log to sign"):
        AuditFolder(folder).checkpoint(a_signer(key), NOON)
    write(folder, "run-1")
    AuditFolder(folder).checkpoint(a_signer(key), NOON)
    with pytest.raises(SettingsError, match="a file already"):
        AuditFolder(folder).checkpoint(a_signer(key), NOON)


def test_a_flipped_byte_anywhere_in_a_checkpoint_is_found(folder: Path, key: Path) -> None:
    write(folder, "run-1")
    written, _ = AuditFolder(folder).checkpoint(a_signer(key), NOON)
    public = [read_public_key(key.with_name("key.pub"))]
    whole = written.read_bytes()
    for position in range(len(whole)):
        written.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        signed, faults = signed_heads(folder, (), public)
        assert (signed, [(fault.file, fault.line) for fault in faults]) == (
            [],
            [(f"audit/{written.name}", 1)],
        ), position


def test_another_key_does_not_do_and_several_do(folder: Path, key: Path, tmp_path: Path) -> None:
    write(folder, "run-1")
    AuditFolder(folder).checkpoint(a_signer(key), NOON)
    ours = read_public_key(key.with_name("key.pub"))
    beside, theirs = generate(tmp_path / "other")
    _, (fault,) = signed_heads(folder, (), [read_public_key(beside)])
    assert fault.what == f'is signed with another key: "{ours.name}"'
    signed, faults = signed_heads(folder, (), [theirs, ours])
    assert ([item.key for item in signed], faults) == ([ours.name], [])


def test_what_is_no_key_is_refused_and_not_repeated(key: Path, tmp_path: Path) -> None:
    rsa_key = rsa.generate_private_key(65537, 2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    other = rsa_key.private_bytes(*form, serialization.NoEncryption()).decode()
    locked = rsa_key.private_bytes(*form, serialization.BestAvailableEncryption(b"x")).decode()
    for value, why in [
        (str(tmp_path / "missing"), "No such file or directory"),
        ("-----BEGIN PRIVATE KEY-----\nsecret\n", "no private key in PEM form"),
        (other, "another kind than Ed25519"),
        (locked, "it is encrypted"),
        (str(key) + ".pub", "no private key in PEM form"),
        ("a\0b", "neither a key nor the path"),
    ]:
        with pytest.raises(SettingsError, match=why) as caught:
            signer_of({"RECONCILER_AUDIT_KEY": value})
        assert value not in str(caught.value)
        assert caught.value.__cause__ is None
    with pytest.raises(SettingsError, match="no public key"):
        read_public_key(key)
    assert signer_of({}) is None


def test_a_key_is_not_shown_by_what_holds_it(key: Path) -> None:
    assert "PRIVATE" not in repr(vars(a_signer(key)))
