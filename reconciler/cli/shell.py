"""``reconciler completion``: what makes a shell complete commands, options and targets."""

from __future__ import annotations

import click

from reconciler.cli.exits import Exit

_HINTS = {
    "bash": '# Add to ~/.bashrc: eval "$(reconciler completion bash)"',
    "zsh": '# Add to ~/.zshrc: eval "$(reconciler completion zsh)"',
    "fish": "# Save as ~/.config/fish/completions/reconciler.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(sorted(_HINTS)))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> int:
    """Print a completion script for SHELL."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None
    script = complete(context.find_root().command, {}, "reconciler", "_RECONCILER_COMPLETE").source()
    click.echo(_HINTS[shell])
    click.echo(script)
    return Exit.DONE
