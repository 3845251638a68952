"""The report's sections, from the figures at its head to the first rows of its table."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from reconciler.model.status import Health, Sync
from reconciler.render.report.figures import HEALTHS, SYNCS, bar, counted
from reconciler.render.report.html import Html, code, folded, join, labelled, row, tag, text
from reconciler.render.report.words import counted as number
from reconciler.render.report.words import fared, long_ago, stamp, when

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.model.report import PlanShown, Report, Story
    from reconciler.model.status import StatusRow

#: Rows of a section's table that stand open, and that it has at all; what is more stands in the table of all
#: batches, or in a command's output.
OPEN, MOST = 8, 100
#: Rows that the table of all batches has before a script takes it over, and on each of its pages.
FIRST = 50


def section(name: str, heading: str, *children: Html | None, lead: Html | str = "") -> Html:
    """A part of the page with its heading."""
    said = tag("p", lead, class_="lead") if lead else None
    head = tag("h2", heading, id=f"{name}-heading", tabindex=-1)
    return tag("section", head, said, *children, id=name, aria_labelledby=f"{name}-heading")


def figures(report: Report) -> Html:
    """The whole in a few numbers."""
    status, plan = report.status, report.plan
    shown: list[tuple[str, int, str, dict[str, str]]] = [("batches", len(status.rows), "", {})]
    if report.looked:
        shown.append(("synced", status.by_sync.get(Sync.SYNCED, 0), "", {"data_sync": Sync.SYNCED}))
    running = sum(item.running for item in status.rows)
    degraded = status.by_health.get(Health.DEGRADED, 0)
    shown.append(("running", running, "", {"data_state": "running"} if running else {}))
    shown.append(("degraded", degraded, "bad", {"data_health": Health.DEGRADED}))
    shown.append(("files failed", status.failed_files, "bad", {"data_state": "failed"}))
    if surplus := sum(len(item.surplus) for item in status.rows):
        shown.append(("surplus", surplus, "bad", {"data_state": "surplus"}))
    if plan is not None:
        creates = sum(item.kind == "create" for item in plan.actions)
        shown.append(("to create", creates, "", {}))
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", words),
                tag(
                    "dd",
                    tag("a", count, href="#batches", **where) if where and count else tag("span", count),
                ),
                class_=kind if count and kind else None,
            )
            for words, count, kind, where in shown
        ),
        class_="figures",
    )


def sets(report: Report) -> Html:
    """Each set by health, and by sync where somebody looked."""
    of_set: dict[str, list[StatusRow]] = defaultdict(list)
    for item in report.status.rows:
        of_set[item.address.set].append(item)
    columns = ("set", "batches", "health") + (("sync",) if report.looked else ())
    rows = []
    for name, members in sorted(of_set.items()):
        health = Counter[str](item.health.value for item in members)
        cells: list[Html | str | int] = [
            tag("a", tag("bdi", name), href="#batches", data_set=name),
            tag("span", len(members), class_="number"),
            tag("div", bar(health, HEALTHS, len(members)), counted(health, HEALTHS, "health", name)),
        ]
        if report.looked:
            sync = Counter[str](item.sync.value for item in members)
            cells.append(tag("div", bar(sync, SYNCS, len(members)), counted(sync, SYNCS, "sync", name)))
        rows.append(row(*cells))
    return section(
        "sets",
        "Sets",
        folded("Each set by health and by sync", columns, rows, first=40, most=len(rows)),
        lead="Choose a part to see its batches.",
    )


def running(report: Report) -> Html | None:
    """What has not ended, oldest first."""
    those = [item for item in report.status.rows if item.running]
    if not those:
        return None
    those.sort(key=lambda item: (item.created_at is None, stamp(item.created_at), item.address))
    rows = [
        row(
            code(str(item.address)),
            tag("span", long_ago(item.age) or "not known", class_="number"),
            item.word or item.status or "",
            labelled(item.health.value),
            code(item.batch),
        )
        for item in those
    ]
    columns = ("address", "age", "status", "health", "batch")
    lead = number(len(those), "batch has not ended.", "batches have not ended.")
    if report.looked:
        lead += " Ages are by the clock of the service."
    drawn = folded("Running batches", columns, rows, first=OPEN, most=MOST)
    return section("running", "Running", drawn, _more(len(those)), lead=lead)


def files(report: Report) -> Html | None:
    """How files fared, as far as anybody read that."""
    read = [story for story in report.stories if story.row.files is not None]
    unread = sum(story.row.health is Health.COMPLETED for story in report.stories)
    if not read and not unread:
        return None
    total = sum(story.row.files.total for story in read if story.row.files)
    failed = report.status.failed_files
    lead = text(f"{number(total, 'file')} in {number(len(read), 'batch', 'batches')}: {failed:,} failed.")
    if unread:
        words = number(unread, "batch has ended, its", "batches have ended, their")
        lead = join(lead, f" {words} files not read yet (", code("reconciler results --deep"), ").")
    if failed and not report.files_asked:
        lead = join(lead, " For the names of those: ", code("reconciler report --failed-files"), ".")
    bad = [story for story in read if story.row.files and story.row.files.failed]
    bad.sort(key=lambda story: (-(story.row.files.failed if story.row.files else 0), story.row.address))
    shares = {Health.DEGRADED.value: failed, Health.HEALTHY.value: total - failed}
    drawn = bar(shares, HEALTHS, total) if total else None
    rows = [
        row(code(str(story.row.address)), _counts(story), *([_names(story)] if report.files_asked else []))
        for story in bad
    ]
    columns = ("address", "files") + (("which failed",) if report.files_asked else ())
    shown = folded("Batches with files that failed", columns, rows, first=OPEN, most=MOST)
    return section("files", "Files", drawn, shown, _more(len(bad)), lead=lead)


def _counts(story: Story) -> Html:
    return tag("span", fared(story.row.files), class_="number")


_NAMES = 12  # of one batch's failed files, before the rest is in its story alone


def _names(story: Story) -> Html:
    names = [
        tag("li", tag("bdi", item.name or item.file), " ", tag("span", item.error or item.status.value))
        for item in story.failed[:_NAMES]
    ]
    if left := len(story.failed) - _NAMES:
        names += [tag("li", f"… {left:,} more", class_="soft")] if left > 0 else []
    if story.unread:
        names.append(tag("li", story.unread, class_="soft"))
    return tag("ul", *names, class_="names")


_PLANNED = {
    "unresolved": "unresolved",
    "blocked": "blocked",
    "create": "to create",
    "cancel": "to cancel",
    "adopt": "to adopt",
    "move": "to move",
    "forget": "to forget",
}


def plan(shown: PlanShown) -> Html:
    """What would follow."""
    kinds = Counter(item.kind for item in shown.actions)
    counts = ", ".join(f"{kinds[kind]:,} {words}" for kind, words in _PLANNED.items() if kinds.get(kind))
    lead = f"{counts or 'No changes'}; {shown.kept:,} stay as they are."
    lead = f"{lead[:1].upper()}{lead[1:]}"
    notes = []
    if shown.stale:
        notes.append(tag("p", f"It may not be applied any more: {shown.stale}.", class_="note bad"))
    if shown.held:
        notes.append(
            tag("p", f"Something stands in its way: {'; '.join(shown.held[:_NAMES])}.", class_="note")
        )
    rank = {kind: place for place, kind in enumerate(_PLANNED)}
    actions = sorted(shown.actions, key=lambda item: rank.get(item.kind, 0))  # stable: else as in the plan
    rows = [
        row(
            code(item.address),
            tag("span", item.kind, class_="kind"),
            tag("bdi", item.name),
            tag("span", "" if item.files is None else f"{item.files:,}", class_="number"),
            code(item.job),
            item.why,
        )
        for item in actions
    ]
    columns = ("address", "action", "directory", "files", "work", "why")
    whole = f"as it is saved in {shown.file}" if shown.file else "reconciler plan shows all of it"
    of = f"Saved plan {shown.file}" if shown.file else "Plan"
    digest = tag("p", "Digest ", code(shown.digest), class_="soft")
    return section(
        "plan",
        of,
        *notes,
        folded("What apply would do", columns, rows, first=OPEN, most=MOST),
        _more(len(actions), whole),
        digest if shown.actions else None,
        lead=lead,
    )


def in_order(report: Report) -> list[Story]:
    """All stories: first what needs a person, then what runs, then the rest; each sorted by address."""
    syncs = {sync: place for place, sync in enumerate(SYNCS)}
    healths = {health: place for place, health in enumerate(HEALTHS)}

    def rank(story: Story) -> tuple[int, ...]:
        row = story.row
        sync = syncs[row.sync] if report.looked or row.sync is Sync.AMBIGUOUS else 0
        needs = row.sync is Sync.AMBIGUOUS or bool(row.surplus) or row.health is Health.DEGRADED
        return (not needs, sync, healths[row.health])

    return sorted(report.stories, key=lambda story: (rank(story), story.row.address, story.row.place))


COLUMNS = ("address", "sync", "health", "status", "files", "made", "batch")


def batches(report: Report, stories: Sequence[Story]) -> Html:
    """The table of all batches, as it stands without a script."""
    head = join(
        *(
            tag("th", tag("button", name, type="button", data_by=name), scope="col", data_name=name)
            for name in COLUMNS
        )
    )
    drawn = tag(
        "table",
        tag("caption", "All batches", class_="unseen"),
        tag("thead", tag("tr", head)),
        tag("tbody", *(_batch(story.row) for story in stories[:FIRST])),
        id="all",
        class_="batches",
    )
    shown = f"{min(FIRST, len(stories)):,} of {number(len(stories), 'batch', 'batches')}"
    left = len(stories) - FIRST
    more = (
        f"The {left:,} others, the stories and the filters need scripts, which do not run here; "
        "reconciler status has them all."
    )
    return section(
        "batches",
        "All batches",
        _controls(report),
        tag("p", shown, id="count", role="status", aria_live="polite"),
        tag("div", drawn, class_="wide", tabindex=0, role="region", aria_label="All batches, table"),
        tag("nav", id="pages", aria_label="Pages of the table", hidden=True),
        tag("p", more, class_="note", id="unscripted") if left > 0 else None,
    )


def _batch(item: StatusRow) -> Html:
    name = item.directory_name if item.directory_name != item.address.directory else ""
    below = [tag("bdi", name, class_="below")] if name else []
    below += [tag("span", item.why, class_="below why")] if item.why else []
    return row(
        join(code(str(item.address)), *below),
        labelled(item.sync.value),
        labelled(item.health.value),
        item.word or item.status or "",
        tag("span", fared(item.files), class_="number"),
        when(stamp(item.created_at)) if item.created_at else "",
        code(item.batch),
    )


def _controls(report: Report) -> Html:
    names = sorted({item.address.set for item in report.status.rows})
    return tag(
        "form",
        tag(
            "label",
            tag("span", "Text"),
            tag("input", type="search", id="text", autocomplete="off", spellcheck="false"),
            class_="text",
        ),
        _choice("set", "Set", names),
        _choice("sync", "Sync", [sync.value for sync in SYNCS if report.status.by_sync.get(sync)]),
        _choice("health", "Health", [item.value for item in HEALTHS if report.status.by_health.get(item)]),
        tag("button", "Show all", type="reset", id="clear"),
        id="controls",
        role="search",
        aria_label="Filter the batches",
        hidden=True,
    )


def _choice(name: str, words: str, values: Sequence[str]) -> Html:
    options = [tag("option", "any", value=""), *(tag("option", value, value=value) for value in values)]
    return tag("label", tag("span", words), tag("select", *options, id=name))


def _more(count: int, whole: str = "the table of all batches has them") -> Html | None:
    return tag("p", f"… {count - MOST:,} more; {whole}.", class_="soft") if count > MOST else None


def contents(names: Iterator[tuple[str, str]]) -> Html:
    """Where on the page what is."""
    return tag(
        "nav",
        tag("ul", *(tag("li", tag("a", words, href=f"#{name}")) for name, words in names)),
        aria_label="On this page",
        class_="contents",
    )
