"""Verifying the audit log: each file's chain, and whether every line that is named is there.

A file's lines are held against each other, and its end against what names it: the lockfile, or the header of
a run that followed. A fault stands in the file that has to be put right, at the line where something is
wrong or missing, and says what a person can do about it. Nothing is written here, and no lock is needed:
files only grow, and what a header names was whole before that header was.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.adapters.audit.form import ACTION, hash_fits
from reconciler.adapters.audit.lines import (
    FORMAT_VERSION,
    HEAD,
    as_text,
    audit_files,
    digest,
    explained,
    file_name,
    heads_of,
    quoted,
    read_line,
    sealed,
    whole_lines,
)
from reconciler.model.audit import AuditFault, Verified
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from reconciler.adapters.audit.agreement import Agreement
    from reconciler.model.audit import SignedHeads

_UPGRADE = "Upgrade: pip install --upgrade batch-reconciler"


def verify(
    folder: Path,
    heads: Sequence[str],
    lockfile: Source = Source("reconciler.lock"),  # noqa: B008 - a value, and frozen
    *,
    agreement: Agreement | None = None,
    signed: Sequence[SignedHeads] | None = None,
) -> Verified:
    """Hold the audit files against each other and against the heads that the lockfile holds.

    Args:
        folder: the audit files. Faults name them as they stand beside the lockfile.
        heads: those of the lockfile, read before the files are; each must be a line of its file.
        lockfile: where it holds them.
        agreement: given every sound line of an action.
        signed: heads that somebody vouched for; each line must then be one of theirs or come before one.
            None asks for none.

    Raises:
        StateError: the folder or a file cannot be read.
    """
    paths = audit_files(folder)
    named: dict[str, set[Source]] = {head: {lockfile} for head in heads}
    for there in signed or ():
        for head in there.heads:
            named.setdefault(head, set()).add(there.source)
    # Files only grow: what each header names is known before the files are read, and looked out for.
    followed = {path.name: _followed(path) for path in paths}
    wanted: dict[str, set[str]] = {}
    for head in {*named, *(head for heads in followed.values() for head in heads)}:
        if match := HEAD.fullmatch(head):
            wanted.setdefault(match["file"], set()).add(match["hash"])
    files: dict[str, _Checked] = {}
    for path in paths:
        shown = f"{folder.name}/{path.name}"
        with explained(path, "read"):
            files[path.name] = checked = _checked(path, shown, wanted.get(path.name, set()), agreement)
        for head in checked.heads:
            if head in followed[path.name]:
                named.setdefault(head, set()).add(Source(shown))
    faults = [fault for checked in files.values() for fault in checked.faults]
    for head, by in named.items():
        faults += _lost(head, sorted(by), lockfile, folder, files)
    faults += _added(heads, lockfile, folder, files)
    if signed is not None:
        faults += _unsigned(signed, folder, files)
    return Verified(len(files), sum(checked.lines for checked in files.values()), tuple(sorted(faults)))


@dataclass(frozen=True, slots=True)
class _Checked:
    """What verifying one file by itself came to.

    Attributes:
        lines: how many whole ones there are.
        found: of the hashes that were looked out for, those of its lines, and which these are.
        heads: what its header names; nothing if that has a fault itself, so that no sound file is blamed.
        sound_end: whether the last line is as it was written. If not, it may be the one that is named.
    """

    faults: tuple[AuditFault, ...]
    lines: int
    found: Mapping[str, int]
    heads: tuple[str, ...]
    sound_end: bool


def _followed(path: Path) -> frozenset[str]:
    with explained(path, "read"), path.open("rb") as file:
        return frozenset(heads_of(read_line(next(whole_lines(file), b"")) or {}))


def _checked(path: Path, shown: str, wanted: AbstractSet[str], agreement: Agreement | None) -> _Checked:
    faults: list[AuditFault] = []
    found: dict[str, int] = {}
    heads: tuple[str, ...] = ()
    looked_for = {its_hash.encode() for its_hash in wanted}
    number, before, sound_end = 0, b"", True
    with path.open("rb") as file:
        for number, raw in enumerate(whole_lines(file), 1):
            swift = ACTION.fullmatch(raw)
            if swift and number > 1 and swift["prev"] == before and hash_fits(swift):
                before, sound_end = swift["hash"], True
                if agreement is not None:
                    agreement.take(shown, number, swift)
            else:
                line = read_line(raw)
                its_faults = _faults_of(line, number, before.decode())
                faults += [AuditFault(shown, number, what, _way_out(shown, line)) for what in its_faults]
                sound_end = line is not None and sealed(line).hash == line["hash"]
                before = b"" if line is None else str(line["hash"]).encode()
                if number == 1 and line is not None and not its_faults:
                    heads = heads_of(line)
                    faults += _misnamed(line, shown, path.name)
            if before in looked_for:
                found.setdefault(before.decode(), number)
    return _Checked(tuple(faults), number, found, heads, sound_end)


def _faults_of(line: Mapping[str, object] | None, number: int, before: str) -> list[str]:
    return ["is not a line of an audit log"] if line is None else list(_faults(line, number, before))


def _faults(line: Mapping[str, object], number: int, before: str) -> Iterator[str]:
    """What is wrong with one line, given the hash of the one before, which is "" if that cannot be read."""
    if sealed(line).hash != line["hash"]:
        yield "was changed after it was written: its hash does not fit"
    if number == 1:
        if line.get("kind") != "run":
            yield "is not a header, so the lines before it were dropped"
        elif line.get("formatVersion") != FORMAT_VERSION:
            yield f"has format version {quoted(line.get('formatVersion'))}; this tool knows {FORMAT_VERSION}"
        elif line.get("prev") != digest(as_text(list(heads_of(line)))):
            yield "names other heads than it was written with"
        return
    if line.get("kind") != "action":
        yield "is a header, and only the first line can be one"
    if before and line.get("prev") != before:
        yield "does not follow the line before it: lines were dropped, moved or put in between"


def _misnamed(header: Mapping[str, object], shown: str, name: str) -> Iterator[AuditFault]:
    """A fault if a file is not called what its run called it: it is a copy, or another's in its place."""
    its_own = file_name(str(header.get("time")), str(header.get("run")))
    if name != its_own:
        way_out = f"Name it {quoted(its_own)} again; where that one is there as well, take this copy away"
        yield AuditFault(shown, 1, f"has the header of another file: {quoted(its_own)}", way_out)


def _lost(
    head: str, by: Sequence[Source], lockfile: Source, folder: Path, files: Mapping[str, _Checked]
) -> Iterator[AuditFault]:
    """Faults if what is named is no line, or one that is not there."""
    match = HEAD.fullmatch(head)
    if match is None:
        for file, line, _ in by:
            yield AuditFault(
                file, line, f"{quoted(head)} is not a head of the form FILE#HASH", _restore(file)
            )
        return
    shown, there = f"{folder.name}/{match['file']}", files.get(match["file"])
    named = _naming(by)
    way_out = f"{_restore(shown)}. {_if_nowhere(head, by, lockfile)}"
    if there is None:
        yield AuditFault(shown, 1, f"there is no such file, and {named} a line of it", way_out)
    elif match["hash"] not in there.found and there.sound_end:
        what = f"is missing: {named} a line that is not there; the end was cut off, or all was written anew"
        yield AuditFault(shown, there.lines + 1, what, way_out)


def _added(
    heads: Sequence[str], lockfile: Source, folder: Path, files: Mapping[str, _Checked]
) -> Iterator[AuditFault]:
    """A fault for each file that goes on behind the end that the lockfile names: that run had ended.

    What a header or a checkpoint names may be the end so far of a run that was writing still, such as one
    that had lost its lock and did not know.
    """
    for match in filter(None, map(HEAD.fullmatch, heads)):
        there = files.get(match["file"])
        end = there.found.get(match["hash"]) if there else None
        if there is None or end is None or end == there.lines:
            continue
        # What is wrong with a line behind the end was said already, and one damage is one fault.
        if not any(fault.line > end for fault in there.faults):
            shown = f"{folder.name}/{match['file']}"
            what = f"from here on, lines were added after the end that {_naming([lockfile])}"
            yield AuditFault(shown, end + 1, what, _restore(shown))


def _naming(by: Sequence[Source]) -> str:
    return f"{' and '.join(f'{file}:{line}' for file, line, _ in by)} {'names' if len(by) == 1 else 'name'}"


def _unsigned(
    signed: Sequence[SignedHeads], folder: Path, files: Mapping[str, _Checked]
) -> Iterator[AuditFault]:
    """A fault for each file whose end comes after everything that was vouched for.

    A head vouches for its line, for those before it, and, by its file's header, for what that follows.
    """
    covered = dict.fromkeys(files, 0)
    rest = [head for there in signed for head in there.heads]
    while rest:
        match = HEAD.fullmatch(rest.pop())
        there = files.get(match["file"]) if match else None
        if match is None or there is None or match["hash"] not in there.found:
            continue
        if not covered[match["file"]]:
            rest += there.heads
        covered[match["file"]] = max(covered[match["file"]], there.found[match["hash"]])
    for name, upto in covered.items():
        if files[name].lines > upto:
            shown = f"{folder.name}/{name}"
            way_out = (
                f"`git log -p -- {shlex.quote(shown)}` shows who wrote it. If its run had no key,"
                " or was killed,"
                " and you found it right: `reconciler audit checkpoint` with the key signs it"
            )
            yield AuditFault(shown, upto + 1, "from here on, no signature vouches for the file", way_out)


def _way_out(shown: str, line: Mapping[str, object] | None) -> str:
    version = line.get("formatVersion") if line is not None else None
    return _UPGRADE if isinstance(version, int) and version > FORMAT_VERSION else _restore(shown)


def _restore(file: str) -> str:
    name = shlex.quote(file)
    return (
        f"`git log -p -- {name}` shows who changed it, and `git diff -- {name}` what no commit has yet;"
        f" restore it with `git checkout COMMIT -- {name}`"
    )


def _if_nowhere(head: str, by: Sequence[Source], lockfile: Source) -> str:
    """What helps where git never had the line: it was not committed, or a crash took it."""
    copy = "If no commit has that line, copy the file from the machine that ran it; if a crash took it there,"
    if list(by) == [lockfile]:
        where = f"{lockfile.file}:{lockfile.line}"
        return f'{copy} take "{head}" out of "heads" in {where}, and the next run follows what is left'
    return f"{copy} it is lost: say so in a commit. This fault then stays, and plan and apply do not mind it"
