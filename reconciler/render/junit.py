"""What `validate` has to say as JUnit's XML, the form in which CI systems show tests.

One test case a diagnostic: an error is a failure, a warning passes and says what it has to. Where there is
nothing to say, one test case passes. XML has no way to write control characters, and they would do no good:
`harmless` writes them as escapes, so what is read back is exactly that text.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from reconciler.model.source import Severity
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.source import Diagnostic


def junit_text(diagnostics: Iterable[Diagnostic]) -> str:
    """The document."""
    said = list(diagnostics)
    failures = sum(1 for item in said if item.severity is Severity.ERROR)
    count = f'tests="{max(len(said), 1)}" failures="{failures}" errors="0"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="reconciler" {count}>',
        f'  <testsuite name="reconciler validate" {count} skipped="0">',
        *(line for item in said for line in _case(item)),
    ]
    if not said:
        lines.append('    <testcase classname="reconciler.yaml" name="valid" />')
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])


def _case(item: Diagnostic) -> Iterator[str]:
    file, line, column = item.source
    message = xml(item.message)
    place = f"{xml(file)}:{line}:{column}"
    yield (
        f'    <testcase classname="{xml(file)}" name="{place} {message}" file="{xml(file)}" line="{line}">'
    )
    if item.severity is Severity.ERROR:
        yield f'      <failure type="error" message="{message}">{place}: {message}</failure>'
    else:
        yield f"      <system-out>{place}: warning: {message}</system-out>"
    yield "    </testcase>"


# Two characters that Unicode calls none, in every plane; XML forbids those of the first.
_NONE = re.compile("[\ufffe\uffff]")


def xml(text: str) -> str:
    """Text from outside, between tags or in quotes. A runner's ``##[`` is kept from being one, too."""
    shown = _NONE.sub(lambda match: f"\\u{ord(match[0]):04x}", harmless(text))
    return html.escape(shown).replace("##[", "#&#35;[")
