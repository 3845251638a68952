"""What the library offers, pinned: a name that goes away breaks somebody's script."""

from __future__ import annotations

import subprocess
import sys

import pytest

import reconciler
import reconciler.provider
import reconciler.testing

_SURFACE = """
Action ActionKind Address Applied AuthenticationError Batch Diagnostic Finding ForbiddenError
InvalidRequestError JobType Key LimitError LockHeldError LockLostError ManifestError NotFoundError
NotSentError Outcome PaymentError Plan Project RateLimitedError Reason ReasonCode ReconcilerError Result
ServiceError SettingsError Severity Source StalePlanError StateError Status Stop UnavailableError
UnexpectedReplyError apply load plan validate
"""

#: What authors of packages import: their own releases hang on it.
_PROVIDER = """
SECRET AuthenticationError Batch Block Configuration Created CreatingKind Creator Directory
DirectoryFile FileCounts FileOutcome FileResult FileStatus ForbiddenError InstalledKind
InvalidRequestError JobOutcome JobType Key Link Listing Means NotFoundError NotSent NotSentError Page
PaymentError RateLimitedError Rejected Rows SendOutcome ServiceError SettingsError Status Throttled Unanswered
UnavailableError UnexpectedReplyError Watched WatchedId WatchedKind Watcher Withheld
"""
_TESTING = "ProviderContract ProviderStand Trouble WatcherContract WatcherStand borrowed connected watching"


def test_the_public_names_are_these() -> None:
    assert sorted(reconciler.__all__) == sorted(_SURFACE.split())
    assert sorted(reconciler.provider.__all__) == sorted(_PROVIDER.split())
    assert sorted(reconciler.testing.__all__) == sorted(_TESTING.split())
    for face in (reconciler.provider, reconciler.testing):
        assert all(hasattr(face, name) for name in face.__all__)


@pytest.mark.parametrize("name", sorted(_SURFACE.split()))
def test_every_public_name_resolves_and_has_a_docstring(name: str) -> None:
    value = getattr(reconciler, name)
    assert value.__doc__


def test_what_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'reconciler' has no attribute 'aply'"):
        _ = reconciler.aply


def _modules(code: str) -> set[str]:
    """Which modules a fresh interpreter has loaded after some code."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_imports_nothing_else() -> None:
    assert {name for name in _modules("import reconciler") if name.startswith("reconciler")} == {"reconciler"}


def test_a_name_of_the_model_does_not_import_the_engine() -> None:
    loaded = _modules("from reconciler import Status")
    assert not {name for name in loaded if name.startswith(("reconciler.engine", "reconciler.adapters"))}


def test_a_package_of_a_provider_imports_nouns_and_no_machinery() -> None:
    loaded = _modules("import reconciler.provider")
    ours = {name for name in loaded if name.startswith("reconciler.")}
    assert {name for name in ours if not name.startswith("reconciler.model")} == {"reconciler.provider"}
    assert not loaded & {"httpx", "jsonschema", "pytest", "click"}


def test_the_suite_for_packages_of_providers_leans_on_pytest_alone() -> None:
    loaded = _modules("import reconciler.testing")
    assert "pytest" in loaded
    assert not loaded & {"httpx", "hypothesis", "starlette", "click"}
    assert not {name for name in loaded if name.startswith(("reconciler.api", "reconciler.emulator"))}


def test_reading_manifests_imports_neither_httpx_nor_the_emulator() -> None:
    loaded = _modules("import reconciler; reconciler.validate('/nonexistent')")
    assert not loaded & {"httpx", "starlette", "sqlite3", "deepdiff", "liteparse", "pytest"}
    assert "reconciler.adapters.providers.registry" not in loaded


def test_the_version_is_told_without_importing_the_command_line() -> None:
    code = "sys.argv = ['reconciler', '--version']\nfrom reconciler.__main__ import main\nmain()\nprint()"
    loaded = _modules(code)
    assert {name for name in loaded if name.startswith("reconciler")} == {"reconciler", "reconciler.__main__"}
    assert "typing" not in loaded


def test_on_windows_it_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from reconciler.__main__ import main

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "argv", ["reconciler", "plan"])
    assert main() == 1
    assert capsys.readouterr().err == (
        "reconciler runs on Linux and macOS: its lock needs a file lock that dies with its holder.\n"
        "On Windows, run it in WSL.\n"
    )
