"""The entry point: ``reconciler`` and ``python -m reconciler``.

``--version`` is answered here, before anything is imported that would take longer than the answer.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and give its exit code."""
    if sys.argv[1:] == ["--version"]:
        from reconciler import __version__

        sys.stdout.write(f"reconciler {__version__}\n")
        return 0
    if sys.platform == "win32":
        sys.stderr.write(
            "reconciler runs on Linux and macOS: its lock needs a file lock that dies with its holder.\n"
            "On Windows, run it in WSL.\n"
        )
        return 1
    try:
        from reconciler.cli import run

        return run()
    except KeyboardInterrupt:  # while modules are still being imported
        return 130


if __name__ == "__main__":
    sys.exit(main())
