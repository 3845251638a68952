"""Every sentence that validation can say, whole and at its place."""

# ruff: noqa: E501 - messages are compared whole, and read best on one line each

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.adapters.manifests import read_documents
from reconciler.adapters.schemas import manifest_schemas
from reconciler.core.validate import Manifests, unset_variables, validate_manifests, validate_project
from reconciler.model.source import Severity

if TYPE_CHECKING:
    from reconciler.model.project import ProjectFile
    from reconciler.model.source import Document

SCHEMAS = manifest_schemas()
HEAD = "apiVersion: reconciler/v1\n"

PROJECT = f"""{HEAD}kind: Project
metadata: {{name: p}}
spec:
  manifests: ["*.yaml"]
  providers:
    local: {{type: local, root: documents}}
    prod: {{type: llamacloud}}
    other: {{type: llamacloud, apiKey: {{env: OTHER_KEY}}}}
    talonic: {{type: talonic}}
    talonic2: {{type: talonic, apiKey: {{env: T_KEY}}}}
"""


def project() -> ProjectFile:
    value, _ = project_of(PROJECT)
    assert value is not None
    return value


def project_of(text: str) -> tuple[ProjectFile | None, list[str]]:
    documents, faults = read_documents(text.encode(), "r.yaml")
    assert faults == ()
    value, diagnostics = validate_project(documents, SCHEMAS, file="r.yaml")
    assert (value is None) == bool(diagnostics)
    return value, [str(item) for item in diagnostics]


def manifests_of(*texts: str, unread: bool = False) -> Manifests:
    documents: list[Document] = []
    for index, text in enumerate(texts):
        found, faults = read_documents(text.encode(), f"{'abcdefgh'[index]}.yaml")
        assert faults == ()
        documents += found
    # The order in which files are read changes nothing (R17).
    one = validate_manifests(documents, project(), SCHEMAS, unread=unread)
    other = validate_manifests(documents[::-1], project(), SCHEMAS, unread=unread)
    assert one == other
    return one


def told(*texts: str) -> list[str]:
    return [str(item) for item in manifests_of(*texts).diagnostics]


def batch_set(
    name: str = "a", *, provider: str = "local", directories: str = "[{id: d}]", rest: str = ""
) -> str:
    """A set on five lines: header, metadata, spec (3), provider (4), job (5), directories (6), rest (7)."""
    return f"{HEAD}kind: BatchSet\nmetadata: {{name: {name}}}\nspec: \n  provider: {provider}\n  job: {{type: parse_v2, configuration: c}}\n  directories: {directories}\n{rest}"


SEVERAL = "a directory is given by one of 'id', 'name' and 'match', not by several"
ID = "an id is 1 to 256 characters without spaces and control characters"
NAME = "a name has lower-case letters, digits, '-' and '.', and begins and ends with a letter or digit"
TIME = "expected a time with its zone (RFC 3339), such as 2026-11-01T00:00:00Z"
DURATION = "expected a duration: a whole number and one of s, m, h, d, such as 90m, 12h or 30d"
SECRET = "expected {env: VARIABLE}: a secret stands in an environment variable, never in a manifest"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "kind: BatchSet\n",
            ["a.yaml:1:1: the key 'apiVersion' is missing: begin with 'apiVersion: reconciler/v1'"],
        ),
        (
            "apiVersion: 1\nkind: BatchSet",
            ["a.yaml:1:13: apiVersion: expected 'reconciler/v1', got a number"],
        ),
        (
            "apiVersion: reconciler/v2\nkind: BatchSet",
            [
                "a.yaml:1:13: apiVersion: 'reconciler/v2' is newer than this release, which reads 'reconciler/v1': upgrade reconciler"
            ],
        ),
        (
            "apiVersion: batch/v1\nkind: BatchSet",
            ["a.yaml:1:13: apiVersion: 'batch/v1' is not known: this release reads 'reconciler/v1'"],
        ),
        (HEAD, ["a.yaml:1:1: the key 'kind' is missing; known here: 'BatchSet', 'Project', 'TrackedBatch'"]),
        (HEAD + "kind: [a]", ["a.yaml:2:7: kind: expected the name of a kind, got a list"]),
        (HEAD + "kind: batchset", ["a.yaml:2:7: kind: 'batchset' is no kind: did you mean 'BatchSet'?"]),
        (
            HEAD + "kind: Deployment",
            ["a.yaml:2:7: kind: 'Deployment' is no kind; known here: 'BatchSet', 'Project', 'TrackedBatch'"],
        ),
        (
            HEAD + "kind: Project",
            ["a.yaml:2:7: kind: a second Project: a project has one, in its project file"],
        ),
        (
            HEAD + "kind: BatchSet",
            ["a.yaml:1:1: the key 'metadata' is missing", "a.yaml:1:1: the key 'spec' is missing"],
        ),
        (batch_set("A_b"), [f"a.yaml:3:18: metadata.name: 'A_b': {NAME}"]),
        (batch_set("x" * 64), ["a.yaml:3:18: metadata.name: this text has 64 characters, 63 are allowed"]),
        (batch_set("12"), ["a.yaml:3:18: metadata.name: expected text, got a number: quote it"]),
        (
            batch_set("a, labels: {team: 7, 'b b': x, c: 'x y'}"),
            [
                "a.yaml:3:36: metadata.labels.team: expected text, got a number: quote it",
                "a.yaml:3:39: metadata.labels['b b']: 'b b': a label's name has letters, digits, '.', '_', '-' and '/', and begins and ends with a letter or digit",
                "a.yaml:3:52: metadata.labels.c: 'x y': a label's value has letters, digits, '.', '_' and '-', and begins and ends with a letter or digit",
            ],
        ),
        (
            batch_set(rest="  directores: []\n"),
            ["a.yaml:8:3: spec.directores: unknown key 'directores': did you mean 'directories'?"],
        ),
        (
            batch_set(rest="  zzz: []\n"),
            [
                "a.yaml:8:3: spec.zzz: unknown key 'zzz'; known here: 'canary', 'closed', 'dependsOn', 'directories', 'job', 'limits', 'maxFailedFiles', 'onRemove', 'provider', 'removed', 'rerun', 'webhooks', …"
            ],
        ),
        (
            batch_set().replace("parse_v2", "parse_v3"),
            ["a.yaml:6:15: spec.job.type: 'parse_v3' is not known: did you mean 'parse_v2'?"],
        ),
        (
            batch_set().replace("parse_v2", "classify"),
            ["a.yaml:6:15: spec.job.type: expected 'parse_v2' or 'extract_v2', got 'classify'"],
        ),
        (
            batch_set().replace("configuration: c", "configuration: {nam: c}"),
            [
                "a.yaml:6:40: spec.job.configuration: the key 'name' is missing",
                "a.yaml:6:41: spec.job.configuration.nam: unknown key 'nam': did you mean 'name'?",
            ],
        ),
        (
            batch_set().replace("configuration: c", "configuration: 'a b'"),
            [f"a.yaml:6:40: spec.job.configuration: 'a b': {ID}"],
        ),
        (
            batch_set(directories=f"[{{id: {'x' * 257}}}]"),
            ["a.yaml:7:22: spec.directories[0].id: this text has 257 characters, 256 are allowed"],
        ),
        (batch_set(directories="[]"), ["a.yaml:7:16: spec.directories: expected at least one, got none"]),
        (batch_set(directories=""), ["a.yaml:7:15: spec.directories: expected a list, got nothing"]),
        (batch_set(directories="dir-1"), ["a.yaml:7:16: spec.directories: expected a list, got text"]),
        (batch_set(directories="{id: x}"), ["a.yaml:7:16: spec.directories: expected a list, got a mapping"]),
        (
            batch_set(
                directories="[d, {id: a, name: b}, {ids: x}, {name: ''}, {match: x, exclude: y}, {id: a b}]"
            ),
            [
                "a.yaml:7:17: spec.directories[0]: expected {id: …}, {name: …} or {match: …}; got text",
                f"a.yaml:7:28: spec.directories[1].name: {SEVERAL}",
                "a.yaml:7:38: spec.directories[2]: expected one of the keys 'id', 'name' and 'match'",
                "a.yaml:7:39: spec.directories[2].ids: unknown key 'ids': did you mean 'id'?",
                "a.yaml:7:55: spec.directories[3].name: expected text, got none",
                "a.yaml:7:80: spec.directories[4].exclude: expected a list, got text",
                f"a.yaml:7:89: spec.directories[5].id: 'a b': {ID}",
            ],
        ),
        (
            batch_set(directories='[{name: "a\\nb"}]'),
            [
                "a.yaml:7:24: spec.directories[0].name: 'a\\nb': this text stands on one line, without control characters"
            ],
        ),
        (
            batch_set(rest="  rerun: {after: 2026-11-01, maxAge: 30, onFailed: {maxAttempts: 0}}\n"),
            [
                f"a.yaml:8:18: spec.rerun.after: '2026-11-01': {TIME}",
                "a.yaml:8:38: spec.rerun.maxAge: expected a duration such as 90m, 12h or 30d, got a number",
                "a.yaml:8:66: spec.rerun.onFailed.maxAttempts: expected at least 1, got 0",
            ],
        ),
        (
            batch_set(
                rest="  rerun: {after: 2026-02-30T00:00:00Z, maxAge: 59m, onFailed: {maxAttempts: 1001}}\n"
            ),
            [
                "a.yaml:8:18: spec.rerun.after: there is no such day or time",
                "a.yaml:8:48: spec.rerun.maxAge: expected at least 1h and at most 36500d",
                "a.yaml:8:77: spec.rerun.onFailed.maxAttempts: expected at most 1000, got 1001",
            ],
        ),
        (
            batch_set(
                rest="  rerun: {after: 2026-11-01T00:00:00, maxAge: 99999d, onFailed: {maxAttempts: 1.5}}\n"
            ),
            [
                f"a.yaml:8:18: spec.rerun.after: '2026-11-01T00:00:00': {TIME}",
                "a.yaml:8:47: spec.rerun.maxAge: expected at least 1h and at most 36500d",
                "a.yaml:8:79: spec.rerun.onFailed.maxAttempts: expected a whole number, got a number",
            ],
        ),
        (
            batch_set(rest="  rerun: {maxAge: 1 month, onCancelled: re-run, onInputChange: true}\n"),
            [
                f"a.yaml:8:19: spec.rerun.maxAge: '1 month': {DURATION}",
                "a.yaml:8:41: spec.rerun.onCancelled: 're-run' is not known: did you mean 'rerun'?",
                "a.yaml:8:64: spec.rerun.onInputChange: expected 'ignore' or 'rerun', got true or false",
            ],
        ),
        (
            batch_set(rest="  onRemove:\n  webhooks: [abc, 1, {webhook_event: [x]}]\n"),
            [
                "a.yaml:8:12: spec.onRemove: expected 'keep' or 'cancel', got nothing",
                "a.yaml:9:14: spec.webhooks[0]: 'abc': a saved webhook configuration's id begins with 'whc-'",
                "a.yaml:9:19: spec.webhooks[1]: expected the id of a saved webhook configuration (whc-…), or a mapping with webhook_url, got a number",
                "a.yaml:9:22: spec.webhooks[2]: the key 'webhook_url' is missing",
                "a.yaml:9:23: spec.webhooks[2].webhook_event: unknown key 'webhook_event': did you mean 'webhook_events'?",
            ],
        ),
        (
            batch_set(
                rest="  webhooks:\n    - webhook_url: ftp://hunter2@x\n      webhook_signing_secret: hunter2\n      webhook_events: [Success]\n      webhook_output_format: a b\n      webhook_headers: {Authorization: 12, 'A B': x, X: {env: 'hunter 2'}, Y: {hunter2: x, env: A}}\n"
            ),
            [
                "a.yaml:9:20: spec.webhooks[0].webhook_url: expected a URL that begins with https:// or http://",
                f"a.yaml:10:31: spec.webhooks[0].webhook_signing_secret: {SECRET}; got text",
                "a.yaml:11:24: spec.webhooks[0].webhook_events[0]: 'Success': an event is two words with a dot, such as batch.success",
                "a.yaml:12:30: spec.webhooks[0].webhook_output_format: 'a b': expected one word, such as json or string",
                "a.yaml:13:40: spec.webhooks[0].webhook_headers.Authorization: expected text, or {env: VARIABLE} for a secret; got a number",
                "a.yaml:13:44: spec.webhooks[0].webhook_headers['A B']: the name of an HTTP header has no spaces and no ':'",
                "a.yaml:13:63: spec.webhooks[0].webhook_headers.X.env: the name of an environment variable has letters, digits and '_', and does not begin with a digit",
                "a.yaml:13:76: spec.webhooks[0].webhook_headers.Y: unknown key; known here: 'env'",
            ],
        ),
        (
            batch_set(rest="  rerun: {after: '0001-01-01T00:00:00+23:59'}"),
            ["a.yaml:8:18: spec.rerun.after: there is no such day or time"],
        ),
        (
            batch_set(provider="lokal"),
            ["a.yaml:5:13: spec.provider: there is no provider 'lokal': did you mean 'local'?"],
        ),
        (
            batch_set(provider="x"),
            [
                "a.yaml:5:13: spec.provider: there is no provider 'x'; known here: 'local', 'other', 'prod', 'talonic', 'talonic2'"
            ],
        ),
        (
            batch_set(provider="talonic"),
            [
                "a.yaml:5:13: spec.provider: 'talonic' cannot create batches, because Talonic forms them by itself: use kind TrackedBatch, which observes them"
            ],
        ),
        # The provider and the sets to wait for are judged beside other faults.
        (
            batch_set(provider="lokal", directories="[]", rest="  dependsOn: [b]"),
            [
                "a.yaml:5:13: spec.provider: there is no provider 'lokal': did you mean 'local'?",
                "a.yaml:7:16: spec.directories: expected at least one, got none",
                "a.yaml:8:15: spec.dependsOn[0]: there is no set 'b'; known here: 'a'",
            ],
        ),
        # What was removed is not asked for: neither its set, nor one directory of it by its id.
        (
            batch_set(directories="[{id: d}]", rest="  removed: [a/d, a/e, b, a]"),
            [
                "a.yaml:8:13: spec.removed[0]: 'a/d' is removed here and still asked for at a.yaml:3:18",
                "a.yaml:8:26: spec.removed[3]: 'a' is removed here and still asked for at a.yaml:3:18",
            ],
        ),
        (
            batch_set(directories="[{id: d}, {id: e}, {id: d}]"),
            [
                "a.yaml:7:40: spec.directories[2].id: 'd' with parse_v2 and 'c' is already asked for at a.yaml:7:22, in 'a'"
            ],
        ),
        (
            batch_set(rest="  dependsOn: [a]"),
            ["a.yaml:8:15: spec.dependsOn[0]: these sets wait for each other: a → a"],
        ),
        (
            HEAD + "kind: TrackedBatch\nmetadata: {name: t}\nspec: {provider: prod}",
            ["a.yaml:4:7: spec: expected one of the keys 'ids', 'since' and 'statuses'"],
        ),
        (
            HEAD
            + "kind: TrackedBatch\nmetadata: {name: t}\nspec: {provider: no, ids: [a b], statuses: ['x y']}",
            [
                "a.yaml:4:18: spec.provider: there is no provider 'no'; known here: 'local', 'other', 'prod', 'talonic', 'talonic2'",
                f"a.yaml:4:28: spec.ids[0]: 'a b': {ID}",
                "a.yaml:4:34: spec.statuses: batches to track are given by one of 'ids', 'since' and 'statuses', not by several",
                "a.yaml:4:45: spec.statuses[0]: 'x y': a status is one word",
            ],
        ),
    ],
)
def test_faults_of_a_manifest(text: str, messages: list[str]) -> None:
    assert told(text) == messages


@pytest.mark.parametrize(
    ("texts", "messages"),
    [
        (
            [batch_set("a"), batch_set("a", directories="[{id: e}]")],
            ["b.yaml:3:18: metadata.name: the name 'a' is already taken at a.yaml:3:18"],
        ),
        (
            [
                HEAD + "kind: TrackedBatch\nmetadata: {name: a}\nspec: {provider: prod, ids: [x]}",
                batch_set("a"),
            ],
            ["b.yaml:3:18: metadata.name: the name 'a' is already taken at a.yaml:3:18"],
        ),
        # R12: the provider block does not count, the job and the configuration do.
        (
            [
                batch_set("a"),
                batch_set("b", provider="prod"),
                batch_set("c").replace("configuration: c", "configuration: d"),
            ],
            [
                "b.yaml:7:22: spec.directories[0].id: 'd' with parse_v2 and 'c' is already asked for at a.yaml:7:22, in 'a'"
            ],
        ),
        (
            [batch_set("a"), batch_set("b").replace("configuration: c", "configuration: {name: c}")],
            [],
        ),
        (
            [
                batch_set("a", rest="  dependsOn: [b]"),
                batch_set("b", directories="[{id: e}]", rest="  dependsOn: [c]"),
                batch_set("c", directories="[{id: f}]", rest="  dependsOn: [d, a]"),
                batch_set("d", directories="[{id: g}]"),
            ],
            ["c.yaml:8:18: spec.dependsOn[1]: these sets wait for each other: a → b → c → a"],
        ),
        (
            [
                batch_set("a", rest="  dependsOn: [t, invoice, receipts, wrong]"),
                HEAD + "kind: TrackedBatch\nmetadata: {name: t}\nspec: {provider: prod, ids: [x]}",
                batch_set("invoices", directories="[{id: e}]"),
                batch_set("receipts", directories="[]"),
                HEAD + "kind: BatchSte\nmetadata: {name: wrong}\n",
            ],
            [
                "a.yaml:8:15: spec.dependsOn[0]: 't' is a TrackedBatch: a set waits for sets only",
                "a.yaml:8:18: spec.dependsOn[1]: there is no set 'invoice': did you mean 'invoices'?",
                "d.yaml:7:16: spec.directories: expected at least one, got none",
                "e.yaml:2:7: kind: 'BatchSte' is no kind: did you mean 'BatchSet'?",
            ],
        ),
    ],
)
def test_faults_between_manifests(texts: list[str], messages: list[str]) -> None:
    assert told(*texts) == messages


def test_a_long_chain_and_a_long_cycle_are_walked_without_recursion() -> None:
    count = 1500  # Python ends a recursion at 1,000
    text = "---\n".join(
        batch_set(f"s{n:04}", directories=f"[{{id: d{n}}}]", rest=f"  dependsOn: [s{(n + 1) % count:04}]\n")
        for n in range(count)
    )
    [message] = told(text)
    assert message.endswith(
        "these sets wait for each other: s0000 → s0001 → s0002 → s0003 → s0004 → s0005 → … → s1496 → s1497 → s1498 → s1499 → s0000"
    )


def test_what_an_unread_file_may_hold_is_not_called_missing() -> None:
    assert manifests_of(batch_set(rest="  dependsOn: [b]"), unread=True).diagnostics == ()


def test_without_a_project_file_providers_are_not_judged() -> None:
    documents, _ = read_documents(batch_set(provider="x").encode(), "a.yaml")
    assert validate_manifests(documents, None, SCHEMAS).diagnostics == ()


HOOK = "  webhooks: [{webhook_url: 'https://x/', webhook_signing_secret: {env: SIGN}, webhook_headers: {A: {env: TOKEN}}}]\n"


@pytest.mark.parametrize(
    ("environment", "messages"),
    [
        (
            {},
            [
                "a.yaml:8:72: warning: the environment variable SIGN is not set: a webhook of 'a' takes a secret from there",
                "a.yaml:8:106: warning: the environment variable TOKEN is not set: a webhook of 'a' takes a secret from there",
                "r.yaml:8:11: warning: none of the environment variables LLAMA_CLOUD_API_KEY, LLAMA_PARSE_API_KEY is set: provider 'prod' takes its API key from there",
                "r.yaml:11:45: warning: the environment variable T_KEY is not set: provider 'talonic2' takes its API key from there",
            ],
        ),
        ({"SIGN": "s", "TOKEN": "t", "LLAMA_PARSE_API_KEY": "k", "T_KEY": "k"}, []),
        ({"SIGN": "s", "TOKEN": "t", "LLAMA_CLOUD_API_KEY": "k", "T_KEY": "k"}, []),
        (
            {"SIGN": "s", "TOKEN": "t", "LLAMA_CLOUD_API_KEY": "", "LLAMA_PARSE_API_KEY": "k", "T_KEY": ""},
            [
                "r.yaml:11:45: warning: the environment variable T_KEY is not set: provider 'talonic2' takes its API key from there"
            ],
        ),
    ],
)
def test_variables_that_are_needed_and_unset(environment: dict[str, str], messages: list[str]) -> None:
    tracked = HEAD + "kind: TrackedBatch\nmetadata: {name: t}\nspec: {provider: talonic2, ids: [x]}"
    found = manifests_of(batch_set(provider="prod", rest=HOOK), tracked)
    assert found.diagnostics == ()
    warnings = unset_variables(project(), found.sets, found.tracked, environment)
    assert [str(item) for item in warnings] == messages
    assert {item.severity for item in warnings} <= {Severity.WARNING}


def test_providers_that_nobody_uses_need_no_key() -> None:
    found = manifests_of(batch_set())
    assert unset_variables(project(), found.sets, found.tracked, {}) == ()
