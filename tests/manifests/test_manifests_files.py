"""Which files are manifests: patterns, links, and things that only look like files."""

# ruff: noqa: E501 - messages are compared whole, and read best on one line each

from __future__ import annotations

import os
import socket
import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.adapters.manifests import find_manifests, read_manifest
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator


def find(folder: Path, *patterns: str, skip: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    files, diagnostics = find_manifests(
        folder, patterns, place=lambda index: Source("reconciler.yaml", index + 1), skip=frozenset(skip)
    )
    return files, [str(item) for item in diagnostics]


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a: " + os.fsencode(name) + b"\n")


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("b/**/*.yaml", ["b/1.yaml", "b/c/2.yaml", "b/c/d/3.yaml"]),
        ("b/*.yaml", ["b/1.yaml"]),
        ("b/?.yaml", ["b/1.yaml"]),
        ("b/[2-9].yaml", []),
        ("**/*.yaml", ["b/1.yaml", "b/c/2.yaml", "b/c/d/3.yaml", "top.yaml"]),
        ("**", ["b/1.yaml", "b/c/2.yaml", "b/c/d/3.yaml", "b/c/4.yml", "top.yaml"]),
        ("**/**/c/**/**/3.yaml", ["b/c/d/3.yaml"]),
        ("b/c/2.yaml", ["b/c/2.yaml"]),
        ("./b//1.yaml", ["b/1.yaml"]),
        ("*/*/*.y*ml", ["b/c/2.yaml", "b/c/4.yml"]),
        (".hidden/*.yaml", [".hidden/5.yaml"]),
        (".*/*.yaml", [".hidden/5.yaml"]),
        ("b/.6.yaml", ["b/.6.yaml"]),
    ],
)
def test_patterns_match_as_in_a_shell_and_hidden_names_only_when_spelled(
    tmp_path: Path, pattern: str, files: list[str]
) -> None:
    put(
        tmp_path,
        "top.yaml",
        "b/1.yaml",
        "b/c/2.yaml",
        "b/c/d/3.yaml",
        "b/c/4.yml",
        ".hidden/5.yaml",
        "b/.6.yaml",
    )
    assert find(tmp_path, pattern)[0] == sorted(files)


def test_files_are_sorted_found_once_and_skipped_on_request(tmp_path: Path) -> None:
    put(tmp_path, "b.yaml", "a.yaml", "reconciler.yaml")
    assert find(tmp_path, "*.yaml", "a.*", "**/*", skip=("reconciler.yaml",)) == (["a.yaml", "b.yaml"], [])


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("/etc/*.yaml", "the pattern '/etc/*.yaml' is absolute: it must stay inside the project's folder"),
        ("../*.yaml", "the pattern '../*.yaml' contains '..': it must stay inside the project's folder"),
        ("a/../../b", "the pattern 'a/../../b' contains '..': it must stay inside the project's folder"),
        ("a\\*.yaml", "the pattern 'a\\\\*.yaml' contains a backslash: folders are divided by '/'"),
        ("", "the pattern '' names no file"),
        ("x/*.yaml", "warning: the pattern 'x/*.yaml' matches no file"),
        ("x.yaml", "warning: the pattern 'x.yaml' matches no file"),
        ("real.yaml/*", "warning: the pattern 'real.yaml/*' matches no file"),
        (".", "warning: the pattern '.' matches no file"),
    ],
)
def test_a_pattern_stays_inside_and_says_when_it_matches_nothing(
    tmp_path: Path, pattern: str, message: str
) -> None:
    put(tmp_path, "real.yaml")
    assert find(tmp_path, "*.yaml", pattern) == (["real.yaml"], [f"reconciler.yaml:2:1: {message}"])


def test_symbolic_links_do_not_lead_out(tmp_path: Path) -> None:
    inside, outside = tmp_path / "project", tmp_path / "project-2"
    put(inside, "b/real.yaml")
    put(outside, "secret.yaml")
    (inside / "b/file.yaml").symlink_to(outside / "secret.yaml")
    (inside / "b/folder").symlink_to(outside)
    (inside / "b/up.yaml").symlink_to("../../project-2/secret.yaml")
    (inside / "b/gone.yaml").symlink_to("nothing")
    (inside / "b/loop.yaml").symlink_to("loop.yaml")
    (inside / "away").symlink_to("..")
    files, told = find(inside, "b/**/*.yaml", "away/project-2/*.yaml")
    leads_out = "this symbolic link leads out of the project's folder"
    assert files == ["b/real.yaml"]
    assert told == [
        f"away:1:1: {leads_out}",
        f"b/file.yaml:1:1: {leads_out}",
        f"b/folder:1:1: {leads_out}",
        "b/gone.yaml:1:1: this symbolic link leads to nothing",
        "b/loop.yaml:1:1: the file cannot be read: Too many levels of symbolic links",
        f"b/up.yaml:1:1: {leads_out}",
    ]


def test_a_link_to_a_folder_inside_is_followed_when_named_and_told_when_not(tmp_path: Path) -> None:
    put(tmp_path, "real/a.yaml")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/self").symlink_to(".")
    assert find(tmp_path, "link/*.yaml") == (["link/a.yaml"], [])
    assert find(tmp_path, "**/*.yaml") == (
        ["real/a.yaml"],
        [
            f"{name}:1:1: warning: '**' does not follow this symbolic link to a folder: name the folder in a pattern"
            for name in ("link", "real/self")
        ],
    )
    assert find(tmp_path, "link/*.yaml", "real/*.yaml")[0] == ["link/a.yaml"]
    assert find(tmp_path, "real/*.yaml", "link/*.yaml")[0] == ["link/a.yaml"]


def test_what_only_looks_like_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.yaml"))
        assert find(tmp_path, "*.yaml") == (
            [],
            [
                "folder.yaml:1:1: the file cannot be read: it is a folder, not a file",
                "pipe.yaml:1:1: the file cannot be read: it is a FIFO, not a file",
                "s.yaml:1:1: the file cannot be read: it is a device or socket, not a file",
            ],
        )


@pytest.mark.parametrize("name", ["folder", "pipe", "gone", "nul\x00", "device"])
def test_reading_what_is_no_file_gives_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    reasons = {
        "folder": "it is a folder, not a file",
        "pipe": "it is a FIFO, not a file",
        "gone": "No such file or directory",
        "nul\x00": "embedded null byte",
        "device": "it is a device or socket, not a file",
    }
    shown = name.replace("\x00", "\\x00")
    documents, told = read_manifest(tmp_path, name)
    assert documents == ()
    assert [str(item) for item in told] == [f"{shown}:1:1: the file cannot be read: {reasons[name]}"]


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A folder, and no more rights than its owner's: root, who may read everything, gives them up."""
    with tempfile.TemporaryDirectory() as name:
        nobody = 65534
        if os.geteuid() == 0:
            os.chown(name, nobody, nobody)
            os.seteuid(nobody)
        try:
            yield Path(name)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)


def test_a_file_that_may_not_be_read_gives_one_line(ordinary_user: Path) -> None:
    folder = ordinary_user
    put(folder, "a.yaml", "closed/b.yaml")
    (folder / "a.yaml").chmod(0)
    (folder / "closed").chmod(0)
    _, told = read_manifest(folder, "a.yaml")
    assert [str(item) for item in told] == ["a.yaml:1:1: the file cannot be read: Permission denied"]
    assert find(folder, "closed/*")[1] == ["closed:1:1: the folder cannot be read: Permission denied"]
    (folder / "closed").chmod(0o700)


def test_a_file_of_100_mb_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(100_000_000)
    tracemalloc.start()
    documents, told = read_manifest(tmp_path, "big.yaml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert documents == ()
    assert [str(item) for item in told] == ["big.yaml:1:1: the file is larger than 16 MiB: divide it"]
    assert peak < 1_000_000


def test_a_file_of_unknown_size_is_read_up_to_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # /proc says that its files are empty; a file that grows does much the same.
    (tmp_path / "grown.yaml").symlink_to("/proc/self/maps")
    if not (tmp_path / "grown.yaml").exists():
        pytest.skip("no /proc here")
    monkeypatch.setattr("reconciler.adapters.manifests.files.MAX_BYTES", 16)
    _, told = read_manifest(tmp_path, "grown.yaml")
    assert [item.message for item in told] == ["the file is larger than 0 MiB: divide it"]


def test_names_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    put(tmp_path, "a\x1b[31m\n.yaml")
    [name], told = find(tmp_path, "*.yaml")
    assert told == []
    (tmp_path / name).write_bytes(b"- 1")
    assert read_manifest(tmp_path, name)[1][0].source.file == "a\\x1b[31m\\n.yaml"


def test_a_name_that_is_no_text_is_found_and_shown_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.yaml")
    try:
        put(tmp_path, name)
    except OSError:
        pytest.skip("this file system refuses such names")
    assert find(tmp_path, "*.yaml")[0] == [name]
    assert read_manifest(tmp_path, name)[1][0].source.file == "\\udcff.yaml"


def test_a_good_file_is_read_under_its_own_name(tmp_path: Path) -> None:
    put(tmp_path, "b/x.yaml")
    [document], told = read_manifest(tmp_path, "b/x.yaml")
    assert (document.value, document.source, told) == ({"a": "b/x.yaml"}, Source("b/x.yaml", 1, 1), ())
