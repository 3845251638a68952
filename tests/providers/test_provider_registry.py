"""Kinds of providers that come with packages: found, checked, and refused in one sentence with a place."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from provider_packages import KIND, Packages

from reconciler import load, validate
from reconciler.model.project import ForeignProvider
from reconciler.model.secret import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {{name: p}}
spec:
  manifests: ["*.set.yaml"]
  providers:
    mine: {block}
"""
_SET = """\
apiVersion: reconciler/v1
kind: {kind}
metadata: {{name: invoices}}
spec:
  provider: mine
{rest}
"""
_BATCHES = "  job: {type: parse_v2, configuration: cfg-1}\n  directories: [{id: dir-1}]"
_TRACKED = "  ids: [bat-1]"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    return Packages(tmp_path / "site", monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def project(folder: Path, block: str, kind: str = "BatchSet") -> Path:
    (folder / "reconciler.yaml").write_text(_PROJECT.format(block=block))
    rest = _BATCHES if kind == "BatchSet" else _TRACKED
    (folder / "a.set.yaml").write_text(_SET.format(kind=kind, rest=rest))
    return folder


def said(folder: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    return [str(item) for item in validate(folder, environ=environ or {})]


def test_a_block_of_an_installed_type_is_a_value(packages: Packages, folder: Path) -> None:
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=KIND)
    block = "{type: acme, url: 'acme:one', apiKey: {env: ACME_KEY}, depth: 2}"
    found = load(project(folder, block)).file.providers["mine"]
    assert isinstance(found, ForeignProvider)
    assert (found.name, found.type, found.installed.package) == ("mine", "acme", "package acme-batches 1.0")
    assert found.options == {"url": "acme:one", "apiKey": FromEnvironment("ACME_KEY"), "depth": 2}
    assert list(found.secrets()) == [(("apiKey",), "ACME_KEY")]
    assert said(folder, {"ACME_KEY": "x"}) == []


def test_an_unset_variable_is_a_warning_at_its_place(packages: Packages, folder: Path) -> None:
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=KIND)
    project(folder, "{type: acme, url: 'acme:one', apiKey: {env: ACME_KEY}}")
    assert said(folder) == [
        (
            "reconciler.yaml:7:55: warning: the environment variable ACME_KEY is not set: "
            "provider 'mine' takes its apiKey from there"
        )
    ]


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ("", ["7:11: spec.providers.mine: the key 'url' is missing"]),
        (
            ", url: 'acme:1', urll: x",
            ["7:39: spec.providers.mine.urll: unknown key 'urll': did you mean 'url'?"],
        ),
        (", url: 7", ["7:29: spec.providers.mine.url: expected text, got a number: quote it"]),
        (", url: x", ["7:29: spec.providers.mine.url: 'x': this text does not fit"]),
        (", url: 'acme:1', depth: 4", ["7:46: spec.providers.mine.depth: expected at most 3, got 4"]),
        (
            ", url: 'acme:1', apiKey: hunter2",
            [
                (
                    "7:47: spec.providers.mine.apiKey: expected {env: VARIABLE}: a secret stands in an "
                    "environment variable, never in a manifest; got text"
                )
            ],
        ),
        (
            ", url: 'acme:1', apiKey: {env: 'hunter2!'}",
            [
                (
                    "7:53: spec.providers.mine.apiKey.env: the name of an environment variable has letters, "
                    "digits and '_', and does not begin with a digit"
                )
            ],
        ),
        (
            ", url: 'acme:1', accessToken: {env: 'hunter2!'}",
            [
                (
                    "7:58: spec.providers.mine.accessToken.env: the name of an environment variable has "
                    "letters, digits and '_', and does not begin with a digit"
                )
            ],
        ),
        (
            ", url: 'acme:1', apiKey: {env: A, hunter2: x}",
            ["7:39: spec.providers.mine.apiKey: unknown key; known here: 'env'"],
        ),
    ],
)
def test_options_are_held_to_the_packages_schema(
    packages: Packages, folder: Path, options: str, messages: list[str]
) -> None:
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=KIND)
    assert said(project(folder, f"{{type: acme{options}}}")) == [f"reconciler.yaml:{m}" for m in messages]


def test_words_of_json_schema_that_ours_do_not_use_have_a_sentence_too(
    packages: Packages, folder: Path
) -> None:
    text = KIND.replace('"maximum": 3', '"multipleOf": 2').replace(
        '"pattern": "^acme:.*$"', '"format": "uri"'
    )
    text = text.replace('"required": ["url"]', '"not": {"required": ["depth"]}, "oneOf": [{}, {}]')
    text = text.replace(
        "SECRET,",
        'SECRET, "size": {"type": ["string", "integer"]}, "map": {"type": "object", '
        '"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},',
    )
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=text)
    assert said(project(folder, "{type: acme, url: 'no uri', depth: 3, size: [], map: {xa: b, y: c}}")) == [
        "reconciler.yaml:7:5: spec.providers.mine: this does not fit the schema's 'not'",
        "reconciler.yaml:7:11: spec.providers.mine: this does not fit the schema's 'oneOf'",
        "reconciler.yaml:7:46: spec.providers.mine.depth: this does not fit the schema's 'multipleOf': 2",
        "reconciler.yaml:7:55: spec.providers.mine.size: expected text or a whole number, got a list",
        "reconciler.yaml:7:72: spec.providers.mine.map.y: unknown key 'y'",
    ]


_USELESS = {
    "no module": (
        "acme = nowhere:Acme",
        "",
        "importing nowhere failed: ModuleNotFoundError: No module named 'nowhere'",
    ),
    "fails": (
        "acme = acme_batches:Acme",
        "raise OSError('disk')",
        "importing acme_batches failed: OSError: disk",
    ),
    "exits": (
        "acme = acme_batches:Acme",
        "raise SystemExit(3)",
        "importing acme_batches failed: SystemExit: 3",
    ),
    "syntax": (
        "acme = acme_batches:Acme",
        "def",
        "importing acme_batches failed: SyntaxError: invalid syntax (acme_batches.py, line 1)",
    ),
    "no attribute": ("acme = acme_batches:Acne", KIND, "acme_batches has no Acne"),
    "no name": ("acme = acme_batches:Acme.x.y", KIND, "acme_batches has no Acme.x.y"),
    "no target": ("acme = !!", KIND, "that is not MODULE:NAME"),
    "needs more": (
        "acme = acme_batches:Acme",
        KIND.replace("    def endpoint", "    def __init__(self, x): pass\n    def endpoint"),
        "calling Acme failed: TypeError: Acme.__init__() missing 1 required positional argument: 'x'",
    ),
    "no endpoint": (
        "acme = acme_batches:Acme",
        KIND.replace("def endpoint", "def place"),
        "it has no method 'endpoint'",
    ),
    "no ability": (
        "acme = acme_batches:Acme",
        KIND.replace("def creator", "def creatr"),
        "it has neither a method 'creator' nor a method 'watcher'",
    ),
    "no schema": (
        "acme = acme_batches:Acme",
        KIND.replace("schema =", "scheme ="),
        "its schema cannot be used: there is no attribute 'schema' that is a mapping",
    ),
    "broken schema": (
        "acme = acme_batches:Acme",
        KIND.replace('"integer"', '"whole"'),
        (
            "its schema cannot be used: ['properties']['depth']['type']: "
            "'whole' is not valid under any of the given schemas"
        ),
    ),
    "broken pattern": (
        "acme = acme_batches:Acme",
        KIND.replace("^acme:.*$", "("),
        "its schema cannot be used: ['properties']['url']['pattern']: '(' is not a 'regex'",
    ),
    "unwritable schema": (
        "acme = acme_batches:Acme",
        KIND.replace('"integer"', "object()"),
        "its schema cannot be used: TypeError: a JSON Schema cannot hold a object",
    ),
    "open schema": (
        "acme = acme_batches:Acme",
        KIND.replace('"required": ["url"]', '"additionalProperties": True'),
        (
            "its schema cannot be used: options that it does not name are always refused: "
            "leave 'additionalProperties' out"
        ),
    ),
    "list schema": (
        "acme = acme_batches:Acme",
        KIND.replace('"required": ["url"]', '"type": "array"'),
        "its schema cannot be used: it is about options, so its type is 'object'",
    ),
    "own type": (
        "acme = acme_batches:Acme",
        KIND.replace('"depth"', '"type"'),
        "its schema cannot be used: the option 'type' is reconciler's own",
    ),
    "far reference": (
        "acme = acme_batches:Acme",
        KIND.replace('"type": "integer"', '"$ref": "https://acme.test/x"'),
        "its schema cannot be used: its '$ref' 'https://acme.test/x' leads nowhere within it",
    ),
    "secret as text": (
        "acme = acme_batches:Acme",
        KIND.replace('"depth": {"type": "integer", "maximum": 3}', '"accessToken": {"type": "string"}'),
        (
            "its schema cannot be used: the option 'accessToken' sounds like a secret: its schema has to be "
            "reconciler.provider.SECRET"
        ),
    ),
}


@pytest.mark.parametrize("case", _USELESS)
def test_a_package_that_cannot_be_used_is_named_at_the_type(
    packages: Packages, folder: Path, case: str
) -> None:
    entry, text, why = _USELESS[case]
    packages.add("acme-batches", entry, acme_batches=text)
    assert said(project(folder, "{type: acme, url: 'acme:1'}")) == [
        (
            "reconciler.yaml:7:18: spec.providers.mine.type: package acme-batches 1.0 offers "
            f"{entry!r}, which cannot be used: {why}"
        )
    ]


def test_a_schema_that_breaks_while_it_is_used_is_a_fault_of_the_package(
    packages: Packages, folder: Path
) -> None:
    endless = KIND.replace('"type": "integer"', '"$ref": "#/properties/depth"')
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=endless)
    (message,) = said(project(folder, "{type: acme, url: 'acme:1', depth: 2}"))
    where = "reconciler.yaml:7:18: spec.providers.mine.type: "
    assert message.startswith(f"{where}the schema of package acme-batches 1.0 cannot be used: RecursionError")


def test_two_packages_with_one_type_are_both_named(packages: Packages, folder: Path) -> None:
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=KIND)
    packages.add("other-acme", "acme = other_acme:Acme", "2.1", other_acme="raise AssertionError")
    assert said(project(folder, "{type: acme, url: 'acme:1'}")) == [
        (
            "reconciler.yaml:7:18: spec.providers.mine.type: the type 'acme' is offered more than once, by "
            "package acme-batches 1.0 and package other-acme 2.1: uninstall one of them"
        )
    ]


@pytest.mark.parametrize("name", ["https", "Acme", "a:b"])
def test_a_type_that_could_be_taken_for_something_else_is_refused(
    packages: Packages, folder: Path, name: str
) -> None:
    packages.add("acme-batches", f"{name} = acme_batches:Acme", acme_batches=KIND)
    (message,) = said(project(folder, f"{{type: '{name}', url: 'acme:1'}}"))
    assert "a type has lower-case letters, digits, '-' and '_', and is no URL's scheme" in message


def test_a_type_that_nobody_offers_says_what_there_is(packages: Packages, folder: Path) -> None:
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches="raise AssertionError")
    assert said(project(folder, "{type: acne}")) == [
        "reconciler.yaml:7:18: spec.providers.mine.type: 'acne' is not known: did you mean 'acme'?"
    ]
    assert said(project(folder, "{type: warehouse}")) == [
        (
            "reconciler.yaml:7:18: spec.providers.mine.type: 'warehouse' is not known; known here: 'acme', "
            "'llamacloud', 'local', 'talonic'. Other types come with a package: install the one that offers "
            "'warehouse' to this Python, as an entry point of the group 'reconciler.providers'"
        )
    ]


def test_a_set_on_a_kind_that_is_only_watched_says_why(packages: Packages, folder: Path) -> None:
    watched = KIND.replace("def creator", "def watcher")
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=watched)
    block = "{type: acme, url: 'acme:1'}"
    assert said(project(folder, block)) == [
        (
            "a.set.yaml:5:13: spec.provider: 'mine' cannot create batches, because package acme-batches 1.0 "
            "can only watch those of type 'acme': use kind TrackedBatch, which observes them"
        )
    ]
    assert said(project(folder, block, "TrackedBatch")) == []


def test_ours_are_ours_whatever_a_package_is_called(packages: Packages, folder: Path) -> None:
    packages.add("evil", "local = evil:Local", evil="raise AssertionError")
    assert said(project(folder, "{type: local, root: documents}")) == []


def test_nobody_looks_for_packages_where_all_types_are_ours(folder: Path) -> None:
    project(folder, "{type: local, root: documents}")
    code = f"import sys, reconciler; assert reconciler.validate({str(folder)!r}) == ()\n"
    looked = (
        "print('importlib.metadata' in sys.modules, 'reconciler.adapters.providers.registry' in sys.modules)"
    )
    # jsonschema asks for its own version, which is as far as that goes.
    done = subprocess.run([sys.executable, "-c", code + looked], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"


def test_only_packages_that_are_named_are_imported(packages: Packages, folder: Path) -> None:
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=KIND)
    packages.add("other", "other = other_batches:Acme", other_batches=KIND)
    assert said(project(folder, "{type: acme, url: 'acme:1'}")) == []
    assert "acme_batches" in sys.modules
    assert "other_batches" not in sys.modules
