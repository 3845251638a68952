"""Every sentence that validation can say about a project file, whole and at its place."""

# ruff: noqa: E501 - messages are compared whole, and read best on one line each

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.adapters.manifests import read_documents
from reconciler.adapters.schemas import manifest_schemas
from reconciler.core.validate import validate_project

if TYPE_CHECKING:
    from reconciler.model.project import ProjectFile

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


def project_of(text: str) -> tuple[ProjectFile | None, list[str]]:
    documents, faults = read_documents(text.encode(), "r.yaml")
    assert faults == ()
    value, diagnostics = validate_project(documents, SCHEMAS, file="r.yaml")
    assert (value is None) == bool(diagnostics)
    return value, [str(item) for item in diagnostics]


SECRET = "expected {env: VARIABLE}: a secret stands in an environment variable, never in a manifest"
BATCH_SET = f"""{HEAD}kind: BatchSet
metadata: {{name: a}}
spec:
  provider: local
  job: {{type: parse_v2, configuration: c}}
  directories: [{{id: d}}]
"""


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", ["r.yaml:1:1: the file holds no Project: `reconciler init` writes one to begin with"]),
        (
            HEAD + "kind: Projct",
            ["r.yaml:2:7: kind: 'Projct' is no kind: did you mean 'Project'?"],
        ),
        (
            f"{PROJECT}---\n{BATCH_SET}---\n{HEAD}kind: Project\n",
            [
                "r.yaml:14:7: kind: the project file holds one Project: move this to a file that spec.manifests names",
                "r.yaml:22:7: kind: a second Project; the first is at r.yaml:1:1",
            ],
        ),
        (
            HEAD + "kind: Project\nmetadata: {name: p}\nspec: {manifests: [], providers: {}}",
            [
                "r.yaml:4:19: spec.manifests: expected at least one, got none",
                "r.yaml:4:34: spec.providers: expected at least one, got none",
            ],
        ),
        (
            HEAD + "kind: Project\nmetadata: {name: p}\nspec: []",
            ["r.yaml:4:7: spec: expected a mapping, got a list"],
        ),
        (
            PROJECT.replace("root: documents", "rot: documents"),
            [
                "r.yaml:7:12: spec.providers.local: the key 'root' is missing",
                "r.yaml:7:26: spec.providers.local.rot: unknown key 'rot': did you mean 'root'?",
            ],
        ),
        (
            PROJECT.replace("type: local", "type: locl").replace("prod: {type: llamacloud}", "'p d': {}"),
            [
                "r.yaml:7:19: spec.providers.local.type: 'locl' is not known: did you mean 'local'?",
                "r.yaml:8:5: spec.providers['p d']: 'p d': a provider's name has letters, digits, '.', '_' and '-', and begins and ends with a letter or digit",
                "r.yaml:8:12: spec.providers['p d']: the key 'type' is missing",
            ],
        ),
        (
            PROJECT.replace("type: local,", "type: azure,"),
            [
                (
                    "r.yaml:7:19: spec.providers.local.type: 'azure' is not known; known here: 'llamacloud', 'local', "
                    "'talonic'. Other types come with a package: install the one that offers 'azure' to this Python, "
                    "as an entry point of the group 'reconciler.providers'"
                )
            ],
        ),
        (
            PROJECT.replace("env: OTHER_KEY", "env: llx-hunter2").replace("{env: T_KEY}", "llx-hunter2"),
            [
                "r.yaml:9:45: spec.providers.other.apiKey.env: the name of an environment variable has letters, digits and '_', and does not begin with a digit",
                f"r.yaml:11:39: spec.providers.talonic2.apiKey: {SECRET}; got text",
            ],
        ),
        (
            PROJECT + "  state: {type: postgre}\n  limits: {maxCreates: -1, maxFile: 3}\n",
            [
                "r.yaml:12:17: spec.state.type: 'postgre' is not known: did you mean 'postgres'?",
                "r.yaml:13:24: spec.limits.maxCreates: expected at least 0, got -1",
                "r.yaml:13:28: spec.limits.maxFile: unknown key 'maxFile': did you mean 'maxFiles'?",
            ],
        ),
        (
            PROJECT + "  state: {type: file, exclusive: true}\n",
            ["r.yaml:12:34: spec.state.exclusive: expected 'external', got true or false"],
        ),
        (
            PROJECT.replace("llamacloud}", "llamacloud, settle: 2h}"),
            ["r.yaml:8:38: spec.providers.prod.settle: expected at most 1h"],
        ),
    ],
)
def test_faults_of_a_project_file(text: str, messages: list[str]) -> None:
    assert project_of(text) == (None, messages)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "http://example.com",
            "http would send the API key in the clear: use https (http is for this machine only)",
        ),
        (
            "http://127.0.0.1.example.com",
            "http would send the API key in the clear: use https (http is for this machine only)",
        ),
        ("ftp://example.com", "expected a URL that begins with https://, or http:// on this machine"),
        ("example.com", "expected a URL that begins with https://, or http:// on this machine"),
        ("https:///x", "expected a URL that begins with https://, or http:// on this machine"),
        ("https://user:hunter2@example.com", "a URL does not hold a user or password: use apiKey"),
        ("https://example.com?x", "a base URL has no '?' and no '#'"),
        ("https://example.com#", "a base URL has no '?' and no '#'"),
        ("https://[::1", "this is no valid URL"),
        ("https://example.com:99999", "this is no valid URL"),
        ("https://exa mple.com", "expected a URL without spaces and control characters"),
        ("https://example.com", None),
        ("https://example.com:8443/base/", None),
        ("http://localhost:8080", None),
        ("http://127.0.0.1:1", None),
        ("http://[::1]:8080/", None),
    ],
)
def test_a_base_url_is_https_or_loopback(url: str, message: str | None) -> None:
    _, messages = project_of(PROJECT.replace("llamacloud}", f"llamacloud, baseUrl: '{url}'}}"))
    assert messages == ([] if message is None else [f"r.yaml:8:39: spec.providers.prod.baseUrl: {message}"])
