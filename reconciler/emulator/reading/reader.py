"""The program of the reading process: one document a line in, one outcome a line out.

It greets with one line when it is ready. A request is `{"source", "target", "fields", "seconds"}`: the
text of `source` goes to `target`, or with `fields` the record extracted from it. A reply is
`{"error": null}` or `{"error": "why"}`. The process ends when its input does, so it never outlives the
worker that started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from reconciler.emulator.errors import Unreadable
from reconciler.emulator.reading.extraction import extract, read_fields
from reconciler.emulator.reading.parsing import parse


def main() -> None:
    """Serve requests from standard input until it ends."""
    # The parser is native code that may print; what leaves by file descriptor 1 must be replies only.
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    replies.write('{"ready": true}\n')
    replies.flush()
    for line in sys.stdin:
        request = json.loads(line)
        # The worker kills a process that takes too long. Should the worker itself be gone by then, this
        # alarm does, and even native code does not outlast it.
        signal.alarm(request["seconds"])
        error = read(Path(request["source"]), Path(request["target"]), request["fields"])
        signal.alarm(0)
        replies.write(json.dumps({"error": error}) + "\n")
        replies.flush()


def read(source: Path, target: Path, fields: object) -> str | None:
    """Write the text or the record of a document; give the reason if that cannot be done."""
    try:
        text = parse(source)
        if fields is not None:
            text = json.dumps(extract(read_fields(fields), text), ensure_ascii=False, indent=2) + "\n"
        _write(target, text)
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return f"the result cannot be written: {error.strerror}"
    except MemoryError:
        return "the document needs more memory than there is"
    except Exception as error:  # noqa: BLE001 - a document that upsets a parser must not end the process
        return f"the document cannot be read: {type(error).__name__}: {error}"
    return None


def _write(target: Path, text: str) -> None:
    # Whole or not at all. A name left by a killed process is simply written over.
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.tmp")
    unfinished.write_bytes(text.encode("utf-8", "replace"))
    unfinished.replace(target)
