"""What `validate` has to say as SARIF 2.1.0 (OASIS), which code scanning reads.

The schema of what is written of it is `schemas/sarif.json`. Paths are URIs relative to the repository's root.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.model.source import Severity
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.source import Diagnostic

_RULES = (
    ("invalid", "error", "A manifest or the project file is not valid, so that nothing can be planned."),
    ("doubtful", "warning", "A manifest or the project file is valid, and says something doubtful."),
)
_ROOT = "%SRCROOT%"

# Halves of a character that stand for no byte of a file's name, and that no URI can have.
_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def sarif_document(diagnostics: Iterable[Diagnostic], version: str, prefix: str = "") -> dict[str, Any]:
    """The log of one run.

    Args:
        diagnostics: what there is to say.
        version: reconciler's.
        prefix: the project's folder within the repository, with a slash at its end, or "".
    """
    rules = [
        {"id": name, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}
        for name, level, text in _RULES
    ]
    driver = {"name": "reconciler", "version": version, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(item, prefix) for item in diagnostics],
            }
        ],
    }


def _result(item: Diagnostic, prefix: str) -> dict[str, Any]:
    index = 0 if item.severity is Severity.ERROR else 1
    name, level, _ = _RULES[index]
    file, line, column = item.source
    path = prefix + file
    message = harmless(item.message)
    # The same fault on another line is the same fault.
    print_ = hashlib.sha256("\0".join((name, harmless(path), message)).encode()).hexdigest()
    return {
        "ruleId": name,
        "ruleIndex": index,
        "level": level,
        "message": {"text": _literal(message)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {
                        "uri": quote(_HALF.sub("?", path), safe="/", errors="surrogateescape"),
                        "uriBaseId": _ROOT,
                    },
                    "region": {"startLine": line, "startColumn": column},
                }
            }
        ],
        "partialFingerprints": {"messageHash/v1": print_},
    }


def _literal(text: str) -> str:
    """SARIF reads links and placeholders out of a message's text; so written they are text.

    A link is ``[text](target)``; its brackets are literal with a backslash. Braces are always doubled (3.11).
    """
    if "](" in text:
        for sign in "\\[]":
            text = text.replace(sign, f"\\{sign}")
    return text.replace("{", "{{").replace("}", "}}")
