"""``reconciler comment``: one comment on a pull or merge request, and whether its plan is still the plan."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import echo, say_error
from reconciler.cli.exits import Exit
from reconciler.cli.options import output_options, with_options
from reconciler.model.errors import ReconcilerError, ServiceError, SettingsError, StalePlanError
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from reconciler.model.comment import Place
    from reconciler.model.saved import SavedPlan

#: Bytes of a page that are read; no comment is a hundredth of that.
_LARGEST = 100_000_000

#: Beside a comment's own id, for what is said after the merge.
AFTER_MERGE = "merge"


def _is_id(_: click.Context, __: click.Parameter, value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise click.BadParameter(
            "an id has letters, digits, '.', '_' and '-', and begins with a letter or digit"
        )
    return value


@click.command("comment")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--plan",
    "plan_file",
    metavar="PLAN",
    type=click.Path(dir_okay=False),
    help="The plan that the page shows, of `plan --out`: the comment keeps what it would do.",
)
@click.option(
    "--check-reviewed",
    is_flag=True,
    help="After a merge: check that PLAN is the plan which the request's comment shows, and comment only"
    " where it is not (exit 4).",
)
@click.option("--id", "name", callback=_is_id, default="", metavar="ID", help="Tells several comments apart.")
@click.option("--service", type=click.Choice(["github", "gitlab"]), help="By default, whose runner this is.")
@click.option(
    "--repository",
    default="",
    metavar="NAME",
    help="OWNER/NAME, or on GitLab its id; by default the runner's.",
)
@click.option(
    "--number",
    type=click.IntRange(1),
    metavar="N",
    help="The request; by default the one that this runs for.",
)
@click.option(
    "--token-env",
    default="",
    metavar="VARIABLE",
    help="The variable that has the token: GITHUB_TOKEN or GITLAB_TOKEN by default.",
)
@click.option(
    "--or-summary",
    is_flag=True,
    help="Where it cannot be commented, add the page to GITHUB_STEP_SUMMARY instead, and exit 0.",
)
@with_options(*output_options)
def comment_command(
    *,
    file: str,
    plan_file: str | None,
    check_reviewed: bool,
    name: str,
    service: str | None,
    repository: str,
    number: int | None,
    token_env: str,
    or_summary: bool,
    no_color: bool,  # noqa: ARG001 - taken, and nothing here has a colour
) -> int:
    """Have a pull or merge request bear one comment with the Markdown of FILE (- is standard input).

    An earlier comment of this project and ID is updated, and nothing is sent where it says the same.
    GitHub Actions and GitLab CI say by themselves where; after a merge it is the request that was merged.
    """
    if check_reviewed and (plan_file is None or or_summary):
        raise click.UsageError("--check-reviewed needs --plan, and goes without --or-summary")
    from reconciler.model.comment import Service

    page, plan = _read(file), _plan(plan_file, must=check_reviewed)

    def place() -> Place:
        return api.comment_place(
            service=Service(service) if service else None,
            repository=repository,
            number=number,
            token=token_env,
        )

    if check_reviewed:
        assert plan is not None
        return _check(place(), name, plan, page)
    try:
        _post(place(), name, plan, page)
    except (ServiceError, SettingsError) as error:
        if not or_summary or not os.environ.get("GITHUB_STEP_SUMMARY"):
            raise
        say_error(error)
        _sum_up(page)
    return Exit.DONE


def _post(place: Place, name: str, plan: SavedPlan | None, page: str) -> None:
    from reconciler.render.comment import comment_text, posted_line

    mark = api.comment_mark(place, id=name, plan=plan)
    posted = api.post_comment(place, mark, comment_text(mark, page, place.service))
    echo(harmless(posted_line(posted, place)))


def _check(place: Place, name: str, plan: SavedPlan, page: str) -> int:
    """Whether the plan is the reviewed one; where it is not, the request says so, too."""
    why = api.not_reviewed(place, api.comment_mark(place, id=name), plan)
    if not why:
        echo("This plan was reviewed." if api.saved_plan_changes(plan) else "This plan changes nothing.")
        return Exit.DONE
    from reconciler.render.comment import stopped_text

    stale = StalePlanError(
        "this plan is not the one that was reviewed",
        why=why,
        next=f"Have it reviewed in another request, or `reconciler apply --confirm {plan.digest}`",
    )
    say_error(stale)
    try:
        merged = f"{name}-{AFTER_MERGE}" if name else AFTER_MERGE
        _post(place, merged, None, stopped_text(why, plan.digest, page))
    except ReconcilerError as error:
        # That nothing may be applied is told by the exit code; where to say so is the lesser thing.
        say_error(error)
    return Exit.STALE


def _plan(name: str | None, *, must: bool) -> SavedPlan | None:
    """The plan; None where it did not come to be, so that the comment keeps none either."""
    if name is None:
        return None
    if not must and not os.path.exists(name):  # noqa: PTH110 - of a name that can be none, Path's raises
        echo(
            harmless(f"note: there is no plan {name}, so that the comment shows none that could be applied"),
            err=True,
        )
        return None
    return api.read_plan(name)


def _read(name: str) -> str:
    try:
        if name == "-":
            # A stream that was closed before the start is None.
            content = sys.stdin.buffer.read(_LARGEST) if sys.stdin else b""
        else:
            with Path(name).open("rb") as file:
                content = file.read(_LARGEST)
    except OSError as error:
        raise SettingsError(
            "the page cannot be read",
            where=name,
            why=(error.strerror or str(error)).lower(),
            next="`reconciler plan --markdown-into FILE` writes one",
        ) from error
    text = content.decode("utf-8", "replace").replace("\0", "")
    if not text.strip():
        raise SettingsError(
            "there is nothing to comment",
            where="standard input" if name == "-" else name,
            next="`reconciler plan --markdown-into FILE` writes a page",
        )
    return text


def _sum_up(page: str) -> None:
    from reconciler.cli.into import Appended

    Appended("GITHUB_STEP_SUMMARY", os.environ["GITHUB_STEP_SUMMARY"]).add(f"{page.strip()}\n\n")
    echo("note: the page is in the job's summary instead", err=True)
