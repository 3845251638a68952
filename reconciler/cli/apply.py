"""``reconciler apply``: ask, unless told not to; let the run go by; say what it came to."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console
from reconciler.cli.exits import Exit, of_apply
from reconciler.cli.options import (
    choosing_options,
    lock_timeout_option,
    parallelism_option,
    showing_options,
    timeout_option,
    with_options,
)
from reconciler.cli.progress import Progress
from reconciler.cli.question import is_yes
from reconciler.cli.signals import stopping
from reconciler.cli.views import applied_view
from reconciler.model.project import FileState
from reconciler.render.text import applied_lines, finding_lines

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.outputs import Output
    from reconciler.model.plan import Plan
    from reconciler.model.project import Project
    from reconciler.model.shard import Shard


_STOPPING = "Stopping: what is in flight is finished and recorded. Once more stops at once."


@click.command("apply")
@click.argument("plan_file", metavar="[PLAN]", required=False, type=click.Path(dir_okay=False))
@click.option(
    "--auto-approve", is_flag=True, allow_from_autoenv=False, help="Do not ask. Without a terminal, a must."
)
@click.option(
    "--confirm",
    metavar="DIGEST",
    default="",
    allow_from_autoenv=False,
    help="Apply the plan with this digest and no other, without asking, also past the project's limits,"
    " outside of its windows and against its policies.",
)
@click.option(
    "--wait",
    is_flag=True,
    help="Stay until the batches have ended, and create what had to wait for them (dependsOn, canary);"
    " with a saved plan, stay only.",
)
@click.option(
    "--join",
    is_flag=True,
    help="Carry PLAN out with whoever else does: any number of processes, on state in PostgreSQL.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(1),
    metavar="N",
    help="Hold creates back until fewer than N recorded batches run; --timeout bounds how long.",
)
@click.option(
    "--approved-by",
    metavar="NAME",
    default="",
    allow_from_autoenv=False,
    help="For the audit log: who approved this. By default GitHub's reviews or the commit's trailers say.",
)
@with_options(lock_timeout_option, timeout_option, *choosing_options, parallelism_option, *showing_options)
def apply_command(
    *,
    plan_file: str | None,
    auto_approve: bool,
    confirm: str,
    wait: bool,
    join: bool,
    max_in_flight: int | None,
    approved_by: str,
    lock_timeout: float,
    timeout: float | None,
    target: tuple[str, ...],
    changed_since: str | None,
    shard: Shard | None,
    locked: bool,
    refresh_all: bool,
    parallelism: int,
    verbose: bool,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
    output: Output,
) -> int:
    """Create the batches that are missing, and record what stands.

    With PLAN, a file of `plan --out`, exactly its actions are applied, without asking: if anything else would
    happen by now, nothing does. With --join, by all processes that are given it, until nothing of it is left.

    Ctrl-C once: nothing new is begun, what is in flight is finished and recorded. Twice: at once. When
    --timeout is over, the same happens as at the first Ctrl-C.
    """
    if plan_file and (target or locked or changed_since is not None):
        raise click.UsageError(
            "a saved plan has its own targets: --target, --changed-since and --locked belong to `plan`"
        )
    if plan_file and shard:
        raise click.UsageError("a saved plan is applied whole: --shard goes with none")
    if join and (not plan_file or wait or max_in_flight):
        raise click.UsageError(
            "--join needs a saved plan, and goes with no --wait or --max-in-flight: each worker would count"
            " by itself"
        )
    if not (auto_approve or confirm or plan_file or sys.stdin.isatty()):
        raise click.UsageError(
            "without a terminal to ask on, apply needs --auto-approve, a saved plan or --confirm DIGEST"
        )
    out = console(no_color=no_color, output_format=format)
    saved = api.read_plan(plan_file) if plan_file else None
    project = api.load()
    output.of(project, plan_file)
    _say_what_excludes(project, out)
    declined = False

    def approve(plan: Plan) -> bool:
        nonlocal declined
        declined = not (auto_approve or confirm) and not _ask(plan, stop)
        return not declined

    with stopping(out, _STOPPING) as stop, Progress(out, verbose=verbose).shown() as progress:
        if join and saved:
            applied = api.join(
                project,
                saved,
                parallelism=parallelism,
                lock_timeout=lock_timeout or api.OPENING,
                timeout=timeout,
                confirm=confirm,
                approved_by=approved_by,
                listen=output.listener(progress),
                stop=stop,
            )
        else:
            applied = api.apply(
                project,
                approve=approve,
                targets=target,
                changed_since=changed_since,
                shard=shard,
                locked=locked,
                refresh_all=refresh_all,
                parallelism=parallelism,
                lock_timeout=lock_timeout,
                timeout=timeout,
                confirm=confirm,
                saved=saved,
                max_in_flight=max_in_flight,
                wait=wait,
                approved_by=approved_by,
                listen=output.listener(progress),
                stop=stop,
            )
    if declined:
        out.say(line for finding in applied.findings for line in finding_lines(finding))
        out.note("Nothing was applied.")
        return of_apply(applied, waited=wait) or Exit.ERROR
    if join or applied.plan.changes or applied.batches or of_apply(applied, waited=wait) != Exit.DONE:
        out.say(applied_lines(applied))
    output.show(out, applied_view(project, applied))
    return of_apply(applied, waited=wait)


def _ask(plan: Plan, stop: api.Stop) -> bool:
    click.echo(f"\nDigest: {plan.digest}", err=True)
    return is_yes("Apply this plan? Only 'yes' is taken for a yes", stop.request)


def _say_what_excludes(project: Project, out: Console) -> None:
    """C1: a file's lock ends at the machine, and in CI every job has its own."""
    state = project.file.state
    if os.environ.get("CI") and isinstance(state, FileState) and not state.exclusive:
        out.note(
            "note: the lock of a file store excludes processes of this machine only. If a concurrency group"
            " keeps other CI jobs out, say so with `state: {exclusive: external}` in reconciler.yaml."
        )
