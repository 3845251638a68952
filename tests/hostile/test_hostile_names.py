"""Texts from outside that mean harm to a terminal, a table, a line or a parser, through whole runs.

The service is a small one over HTTP whose every name is the attack; manifests, files and CI's variables
follow. Escapes are looked for in what was printed; files are read back as programs read them.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

import hostile_marks as marks
import pytest
from hostile_cloud import Cloud
from hostile_runs import run
from hostile_service import hostile
from hostile_stage import Stage, set_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.adapters.audit import verify
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hostile_runs import Ran

ATTACKS = {
    "colours": "\x1b[31mred\x1b[0m",
    "a cleared screen": "\x1b[2J\x1b[H+ created",
    "a title": "\x1b]0;owned\x07",
    "a link": "\x1b]8;;https://x.test\x1b\\here\x1b]8;;\x1b\\",
    "C1 controls": "\x9b31mred\x9d0;t\x9c\x85",
    "a line more": "a\nPlan: 0 to create.\r\nNo changes.",
    "a line taken back": "a\rNo changes.\x1b[K",
    "other line ends": "a\u2028b\u2029c\x0bd\x0ce\x1cf\x1dg\x1eh\x85i",
    "tabs": "a\tb\tc",
    "NUL": "a\x00b",
    "a bell and backspaces": "a\x07\x08\x08\x7f",
    "right to left": "invoice\u202efdp.exe\u202c\u2066x\u2069\u200f",
    "nothing to be seen": "a\u200b\u200c\u200d\u2060\ufeff\u00ad\u061c\u180eb",
    "deprecated formats": "a\u206a\u206b\u206c\u206d\u206e\u206fb",
    "tags": "a\U000e0001\U000e0061\U000e007fb",
    "a flood of marks": "Z" + "\u0300\u0352\u0489" * 500,
    "very long": "x" * 300_000,
    "half a character": "a\ud800b\udfffc",
    "a character in halves": "a\ud83d\ude00b",
    "markup": "<script>alert(1)</script>|`rm -rf`|**x**|[a](b)&amp;<!--",
    "JSON": '"}]}\n{"kind": "action"}',
    "YAML": "a: &b *c !!python/object",
    "formats": "%s %(name)s {0} {name.__class__} $HOME `id` $(id)",
    "marks of git": "<<<<<<< HEAD\n=======\n>>>>>>>",
}

#: What may never reach a terminal: controls, formats, surrogates, separators.
HARM = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("PATH", "/nonexistent")  # no git to be asked five times a run
    return set_up(tmp_path, monkeypatch)


def harm_in(text: str) -> list[str]:
    return sorted({repr(char) for char in text if unicodedata.category(char) in HARM and char != "\n"})


def judge(stage: Stage, *runs: Ran) -> list[str]:
    """What is wrong with what some runs printed and wrote."""
    wrong = []
    for ran in runs:
        if bad := harm_in(ran.out + ran.err):
            wrong.append(f"{ran.command}: printed {bad}")
        if "Traceback" in ran.said or "defect" in ran.said:
            wrong.append(ran.said[:2000])
        if (long := max(map(len, ran.err.split("\n")))) > 10_000:
            wrong.append(f"{ran.command}: a line of {long:,} characters")
        if "json" in ran.command and ran.code in {0, 6}:
            json.loads(ran.out)
        elif (long := max(map(len, ran.out.split("\n")))) > 10_000:
            wrong.append(f"{ran.command}: a line of {long:,} characters")
    return wrong + list(_written(stage))


def _written(stage: Stage) -> Iterator[str]:
    lockfile = stage.folder / "reconciler.lock"
    if lockfile.exists():
        text = lockfile.read_text()
        lock = read_lock(text, "reconciler.lock")
        yield from (f"{lockfile.name} holds {bad}" for bad in harm_in(text))
        frame = len(write_lock(replace(lock, projects={}, sets={}, entries={})).splitlines())
        if len(text.splitlines()) != frame + len(lock.projects) + len(lock.sets) + len(lock.entries):
            yield f"{lockfile.name} has other lines than entries: {text[:2000]!r}"
        yield from map(str, verify(stage.folder / "audit", lock.heads).faults)
    for path in (*stage.folder.glob("*.journal"), *(stage.folder / "audit").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            yield from (f"{path.name} holds {bad}" for bad in harm_in(line))
            json.loads(line[line.index("{") :])  # in a journal, after the line's checksum


def go_through(stage: Stage, *, brief: bool = False) -> tuple[Ran, ...]:
    """Plan and apply; more unless it is to be brief."""
    runs = (stage.run("plan"), stage.run("apply", "--auto-approve"))
    if brief:
        return runs
    return (
        *runs,
        stage.run("plan", "--format", "json", "--verbose"),
        stage.run("apply", "--auto-approve", "--format", "json", "--verbose"),
        stage.run("import", f"invoices/{stage.directory}", "bat-2"),
    )


def rows(ran: Ran) -> int:
    return len(ran.out.splitlines())


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_known_attack_for_every_name(attack: str, stage: Stage) -> None:
    text = ATTACKS[attack]
    for words in (
        {"directory": text, "file": text, "configuration": text, "version": text, "status": text},
        {"directory": text, "failure": text},
    ):
        with hostile(Cloud().saying(**words).answer) as service:
            stage.write(service.url)
            runs = go_through(stage)
            assert judge(stage, *runs) == []
            assert rows(runs[0]) == 4, runs[0].said  # the set, its row, nothing, the sum
            document = json.loads(runs[2].out)
            named = document["actions"][0]["directoryName"]
            shown = json.loads(json.dumps(text)).encode("utf-8", "replace").decode()
            assert named == "" or shown.startswith(named.rstrip("…"))
            assert len(service.creates) > 0


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_known_attack_for_an_id_is_no_id_or_shown_as_it_is(attack: str, stage: Stage) -> None:
    with hostile(
        Cloud().saying(batch=ATTACKS[attack].replace("{", "{{").replace("}", "}}")).answer
    ) as service:
        stage.write(service.url)
        assert judge(stage, *go_through(stage, brief=True)) == []
        assert len(service.creates) == 1


@given(text=st.text(st.characters(), min_size=1, max_size=60))
@settings(
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_text_for_every_name(text: str, stage: Stage) -> None:
    words = {"directory": text, "file": text, "status": text, "failure": text, "failed": 422}
    with hostile(Cloud().saying(**words).answer) as service:
        stage.write(service.url)
        runs = go_through(stage, brief=True)
        assert judge(stage, *runs) == []
        assert rows(runs[0]) == 4


def test_no_character_that_moves_hides_or_turns_is_left() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert harm_in(harmless(everything).replace("\n", "")) == []
    assert harmless("Ünïcødé, 日本語, עברית, हिन्दी, 😀") == "Ünïcødé, 日本語, עברית, हिन्दी, 😀"


def test_a_flood_of_marks_is_dammed() -> None:
    assert harmless("Z" + "\u0300" * 6) == "Z" + "\u0300" * 4 + "\\u0300" * 2


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name not in {"NUL", "half a character"}])
def test_what_ci_says_of_itself(attack: str, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ATTACKS[attack].replace("\x00", "")[:100_000]
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": text,
        "GITHUB_SHA": text,
        "GITHUB_SERVER_URL": text,
        "GITHUB_REPOSITORY": text,
        "GITHUB_RUN_ID": text,
        "CI": text,
    }.items():
        monkeypatch.setenv(name, value.encode("utf-8", "replace").decode())
    with hostile(Cloud().answer) as service:
        stage.write(service.url)
        assert judge(stage, *go_through(stage, brief=True)) == []
        assert len(service.creates) == 1


@pytest.mark.parametrize("attack", ATTACKS)
def test_manifests_and_words_of_the_command_line(attack: str, stage: Stage) -> None:
    text = ATTACKS[attack]
    name = text.replace("/", "-").replace("\x00", "")[:60].encode("utf-8", "replace").decode()
    stage.write("http://127.0.0.1:9")
    broken = {"apiVersion": "reconciler/v1", "kind": text[:2000], text[:2000]: text[:2000]}
    (stage.folder / "batches" / f"{name}.yaml").write_text(json.dumps(broken))
    (stage.folder / "batches" / "set.yaml").write_text(
        (stage.folder / "batches" / "invoices.yaml").read_text().replace("dir-a", json.dumps(text[:200]))
    )
    word = text.replace("\x00", "")[:1000].encode("utf-8", "replace").decode()
    runs = [
        run(stage.folder, *words)
        for words in (
            ["validate"],
            ["validate", "--format", "json"],
            ["plan", "--target", word],
            ["plan", f"--{word}"],
            ["--chdir", word, "plan"],
            ["import", word, word],
            ["lock", "resolve", word, "--absent"],
            ["schema", word],
            ["emulator", "--root", word, "--db", str(stage.temporary / "x.db")],
            ["emulator", "--faults", word, "--db", str(stage.temporary / "x.db")],
            ["emulator", "--api-key", word, "--port", word],
            [word],
            ["init", f"{word[:50]}/x"],  # at the end: the stand-in would serve a root that exists
        )
    ]
    wrong = [f"{ran.command!r}: {bad}" for ran in runs if (bad := harm_in(ran.out + ran.err))]
    assert wrong == []
    assert [ran.said for ran in runs if "defect" in ran.said] == []
    assert marks.found_in("".join(ran.said for ran in runs).encode()) == []
