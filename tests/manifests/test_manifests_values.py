"""What valid manifests become, and what their digests count."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.adapters.manifests import read_documents
from reconciler.adapters.schemas import manifest_schemas
from reconciler.core.validate import project_digest, unset_variables, validate_manifests, validate_project
from reconciler.model.batch import JobType
from reconciler.model.canonical import digest
from reconciler.model.manifest import (
    BatchSet,
    ById,
    ByName,
    ByPattern,
    InlineWebhook,
    Job,
    OnCancelled,
    OnChange,
    OnRemove,
    Rerun,
    SavedWebhook,
    TrackedBatch,
)
from reconciler.model.project import (
    FileState,
    Limits,
    LlamaCloudProvider,
    LocalProvider,
    ProjectFile,
    TalonicProvider,
)
from reconciler.model.secret import FromEnvironment
from reconciler.model.source import Source

if TYPE_CHECKING:
    from reconciler.model.source import Document

SCHEMAS = manifest_schemas()

PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: finance}
spec:
  manifests: ["batches/**/*.yaml", other.yaml]
  providers:
    local: {type: local, root: documents, configurations: saved}
    prod:
      type: llamacloud
      projectId: prj-1
      organizationId: org-1
      baseUrl: https://api.example.com/
      apiKey: {env: MY_KEY}
      settle: 2m
    plain: {type: llamacloud}
    talonic: {type: talonic, baseUrl: "http://localhost:1", apiKey: {env: T}}
  state: {type: file, path: state/x.lock, exclusive: external}
  limits: {maxCreates: 50.0, maxFiles: 20000, maxCancels: 0}
"""

SETS = """\
# a comment
apiVersion: reconciler/v1
kind: BatchSet
metadata: {name: invoices, labels: {team: finance}}
spec:
  provider: prod
  job: {type: extract_v2, configuration: {name: invoice-fields}}
  directories:
    - id: dir-1
    - name: invoices 2026-09
    - match: "invoices-*"
      exclude: ["*-draft"]
  rerun:
    after: 2026-11-01T01:00:00.5+01:00
    maxAge: 30d
    onFailed: {maxAttempts: 5}
    onCancelled: rerun
    onInputChange: rerun
    onConfigurationChange: rerun
  webhooks:
    - whc-1
    - webhook_url: https://example.com/hook
      webhook_events: [batch.success]
      webhook_headers: {X-Team: finance, Authorization: {env: TOKEN}}
      webhook_output_format: json
      webhook_signing_secret: {env: SIGN}
  dependsOn: [small]
  onRemove: cancel
---
apiVersion: reconciler/v1
kind: BatchSet
metadata: {name: small}
spec:
  provider: local
  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}
  directories: [{id: dir-1}]
---
apiVersion: reconciler/v1
kind: TrackedBatch
metadata: {name: watched, labels: {a: b}}
spec: {provider: talonic, ids: [b-1, b-2]}
---
apiVersion: reconciler/v1
kind: TrackedBatch
metadata: {name: since}
spec: {provider: talonic, since: 2026-11-01T00:00:00z}
---
apiVersion: reconciler/v1
kind: TrackedBatch
metadata: {name: states}
spec: {provider: talonic, statuses: [in_progress]}
"""


def documents(text: str, file: str = "m.yaml") -> tuple[Document, ...]:
    found, faults = read_documents(text.encode(), file)
    assert faults == ()
    return found


def project(text: str = PROJECT) -> ProjectFile:
    value, diagnostics = validate_project(documents(text, "reconciler.yaml"), SCHEMAS, file="reconciler.yaml")
    assert diagnostics == ()
    assert value is not None
    return value


def test_a_project_file_becomes_its_value() -> None:
    [document] = documents(PROJECT, "reconciler.yaml")
    assert project() == ProjectFile(
        name="finance",
        source=Source("reconciler.yaml", 1, 1),
        manifests=("batches/**/*.yaml", "other.yaml"),
        providers=MappingProxyType(
            {
                "local": LocalProvider(name="local", root="documents", configurations="saved"),
                "prod": LlamaCloudProvider(
                    name="prod",
                    project="prj-1",
                    organization="org-1",
                    base_url="https://api.example.com",
                    api_key=FromEnvironment("MY_KEY"),
                    settle=120.0,
                ),
                "plain": LlamaCloudProvider(name="plain", settle=30.0),
                "talonic": TalonicProvider(
                    name="talonic", base_url="http://localhost:1", api_key=FromEnvironment("T")
                ),
            }
        ),
        state=FileState(path="state/x.lock", exclusive=True),
        limits=Limits(max_creates=50, max_files=20000, max_cancels=0),
        digest=digest(document.value),
        locate=document.locate,
    )
    assert isinstance(project().limits.max_creates, int)


def test_what_a_project_file_leaves_out_has_its_default() -> None:
    value = project(PROJECT[: PROJECT.index("  state:")])
    assert value.state == FileState(path="reconciler.lock", exclusive=False)
    assert value.limits == Limits()


def test_manifests_become_their_values() -> None:
    found = documents(SETS)
    manifests = validate_manifests(found, project(), SCHEMAS)
    assert manifests.diagnostics == ()
    assert manifests.sets == (
        BatchSet(
            name="invoices",
            provider="prod",
            job=Job(JobType.EXTRACT_V2, ByName("invoice-fields")),
            directories=(ById("dir-1"), ByName("invoices 2026-09"), ByPattern("invoices-*", ("*-draft",))),
            source=Source("m.yaml", 2, 1),
            digest=digest(found[0].value),
            locate=found[0].locate,
            labels=MappingProxyType({"team": "finance"}),
            rerun=Rerun(
                after=datetime(2026, 11, 1, 0, 0, 0, 500_000, tzinfo=UTC),
                max_age=timedelta(days=30),
                max_attempts=5,
                on_cancelled=OnCancelled.RERUN,
                on_input_change=OnChange.RERUN,
                on_configuration_change=OnChange.RERUN,
            ),
            webhooks=(
                SavedWebhook("whc-1"),
                InlineWebhook(
                    url="https://example.com/hook",
                    events=("batch.success",),
                    headers=MappingProxyType(
                        {"X-Team": "finance", "Authorization": FromEnvironment("TOKEN")}
                    ),
                    output_format="json",
                    signing_secret=FromEnvironment("SIGN"),
                ),
            ),
            depends_on=("small",),
            on_remove=OnRemove.CANCEL,
        ),
        BatchSet(
            name="small",
            provider="local",
            job=Job(JobType.PARSE_V2, ById("cfg-PARSE_AGENTIC")),
            directories=(ById("dir-1"),),
            source=Source("m.yaml", 30, 1),
            digest=digest(found[1].value),
            locate=found[1].locate,
        ),
    )
    assert manifests.tracked == (
        TrackedBatch(
            name="watched",
            provider="talonic",
            source=Source("m.yaml", 38, 1),
            ids=("b-1", "b-2"),
            labels=MappingProxyType({"a": "b"}),
        ),
        TrackedBatch(
            name="since",
            provider="talonic",
            source=Source("m.yaml", 43, 1),
            since=datetime(2026, 11, 1, tzinfo=UTC),
        ),
        TrackedBatch(
            name="states", provider="talonic", source=Source("m.yaml", 48, 1), statuses=("in_progress",)
        ),
    )


def digest_of(project_text: str, *texts: str) -> str:
    found = [document for index, text in enumerate(texts) for document in documents(text, f"{index}.yaml")]
    value = project(project_text)
    manifests = validate_manifests(found, value, SCHEMAS)
    return project_digest(value, manifests.sets, manifests.tracked)


def test_comments_order_of_keys_files_and_documents_do_not_count() -> None:
    whole = digest_of(PROJECT, SETS)
    parts = SETS.split("---\n")
    sorted_keys = yaml.safe_dump_all(list(yaml.load_all(SETS, Loader=yaml.BaseLoader)), sort_keys=True)
    assert digest_of(PROJECT, *parts[::-1]) == whole
    assert digest_of(PROJECT + "# comment\n", SETS.replace("# a comment\n", "\n\n")) == whole
    assert documents(SETS)[1].value == documents(sorted_keys)[1].value
    assert (
        digest_of(
            PROJECT,
            "---\n".join([*parts[:1], parts[1].replace("{name: small}", "{'name': \"small\"}"), *parts[2:]]),
        )
        == whole
    )


def test_every_value_counts() -> None:
    whole = digest_of(PROJECT, SETS)
    changed = {
        digest_of(PROJECT.replace("prj-1", "prj-2"), SETS),
        digest_of(PROJECT, SETS.replace("maxAge: 30d", "maxAge: 31d")),
        digest_of(PROJECT, SETS.replace("team: finance", "team: sales", 1)),
        digest_of(PROJECT, SETS.replace("b-2", "b-3")),
        digest_of(PROJECT, SETS.replace("00:00:00z", "00:00:01z")),
        digest_of(PROJECT, SETS.replace("in_progress", "failed")),
    }
    assert whole not in changed
    assert len(changed) == 6


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    found = [path]
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in children:
        found += paths(inner, (*path, key))
    return found


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:  # noqa: ANN401 - JSON
    if not path:
        return new
    result = copy.copy(value)
    result[path[0]] = changed(value[path[0]], path[1:], new)
    return result


WORDS = st.text(st.characters(exclude_categories=["C"]), max_size=8) | st.sampled_from(
    ["", "0d", "99999999d", "https://[", "http://x", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            WORDS | st.sampled_from(["id", "name", "type", "env", "match", "webhook_url"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
ALL = [dict(document.value) for document in (*documents(PROJECT), *documents(SETS))]


@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=3), st.data())
@settings(max_examples=2 * settings().max_examples)
def test_whatever_stands_where_validation_answers_with_values_or_faults(
    chosen: list[dict[str, Any]], data: st.DataObject
) -> None:
    trees = []
    for tree in chosen:
        path = data.draw(st.sampled_from(paths(tree)[1:]))
        trees.append(changed(tree, path, data.draw(VALUES)))
    found, _ = read_documents(yaml.safe_dump_all(trees, allow_unicode=True).encode(), "m.yaml")
    value, diagnostics = validate_project(found, SCHEMAS, file="m.yaml")
    assert (value is None) == (diagnostics != ())
    manifests = validate_manifests(found, value or project(), SCHEMAS)
    assert unset_variables(value or project(), manifests.sets, manifests.tracked, {}) is not None
    for item in (*diagnostics, *manifests.diagnostics):
        assert item.message.isprintable()
        assert item.source.file == "m.yaml"
