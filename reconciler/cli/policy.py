"""``reconciler policy test``: whether policies refuse what they are to refuse, and nothing else."""

from __future__ import annotations

import click

from reconciler import api
from reconciler.cli.console import console
from reconciler.cli.exits import Exit
from reconciler.cli.options import format_option, output_options, with_options


@click.group("policy")
def policy_group() -> None:
    """Policies: JSON Schemas that each plan has to satisfy."""


@policy_group.command("test")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "--plan",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Say instead which policies this plan would violate, a file of `plan --format json` or --out.",
)
@with_options(format_option, *output_options)
def policy_test_command(
    *,
    paths: tuple[str, ...],
    plan: str | None,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
) -> int:
    """Hold policies against the samples beside them: policies/NAME.tests/*.json for policies/NAME.json.

    A sample is {"expect": "fail", "message": "…", "plan": {"actions": [{"files": 5000}]}}: what its policy is
    to make of a plan (pass, warn or fail), and as much of the plan as matters. PATH: only these policies.
    """
    from reconciler.render.policies import policy_document, policy_lines

    shown = console(no_color=no_color, output_format=format)
    tested = api.try_policies(paths=paths, plan=plan)
    if format == "json":
        shown.document(policy_document(tested))
    else:
        shown.say(policy_lines(tested))
    return Exit.DONE if tested.passed else Exit.ERROR
