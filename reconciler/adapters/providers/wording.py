"""Text that came from outside, made into one short line that cannot harm a terminal or a table.

Only the form of the text changes here; what it means is ``refusals``' business.
"""

from __future__ import annotations

#: How many characters of a service's own words an error repeats.
LONGEST = 300


def one_line(text: str, limit: int = LONGEST) -> str:
    r"""The text on one line, cut to ``limit`` characters, control characters written as escapes.

    Whatever Unicode does not call printable (escape sequences, overrides of the writing direction,
    lone surrogates) becomes visible, such as ``\x1b``.
    """
    # Only what can be shown is looked at: a body may be megabytes long.
    words = " ".join(text[: limit * 4].split())
    harmless = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in words
    )
    return harmless if len(harmless) <= limit else harmless[: limit - 1] + "…"
