"""The audit log: one chained file a run, written line by line, and verified as a graph.

A file is ``audit/TIME-RUN.jsonl``. Its first line, the header, says who ran what and names the heads that
the run saw: those that the lockfile holds, and the last lines of files that nothing else accounts for,
such as a killed run's. Each further line is one action and stands by itself. Every line has the hash of
the line before in ``prev`` (the header: a digest of its heads) and its own in ``hash``, so that a line that
is edited, dropped or moved shows; a head, ``FILE#HASH``, makes a cut tail show. Merging two branches is a
union of files. What a line looks like is in ``schemas/audit-line.json``.

A line without its newline was torn by a crash and does not count. The log by itself is no proof against
somebody who rewrites the files and the lockfile together: git is, and so are signatures. What is worth a
line is the engine's to know.

`lines` is the form of lines and files, `log` writes them, `chains` verifies them, with `form` to be quick
about it, `agreement` holds them against the lockfile, `told` reads them in the order of time, and `signing`
has the signatures by which somebody who rewrites everything is found out.
"""

from __future__ import annotations

from reconciler.adapters.audit.agreement import Agreement
from reconciler.adapters.audit.chains import verify
from reconciler.adapters.audit.log import AuditFile, AuditFolder
from reconciler.adapters.audit.signing import (
    KEY_VARIABLE,
    generate,
    read_public_key,
    signed_heads,
    signer_of,
)
from reconciler.adapters.audit.told import Reading

__all__ = [
    "KEY_VARIABLE",
    "Agreement",
    "AuditFile",
    "AuditFolder",
    "Reading",
    "generate",
    "read_public_key",
    "signed_heads",
    "signer_of",
    "verify",
]
