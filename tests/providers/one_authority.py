"""Trust in one authority instead of the 140 that come with certifi.

Every client of httpx reads them all, which takes longer than most tests, and all that is spoken to here is on
this machine and speaks plain HTTP. Where certificates are the point, tests name files of their own.
"""

from __future__ import annotations

from pathlib import Path

import certifi


def one_authority(folder: Path) -> str:
    """A file with the first of them, below a folder."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = folder / "authority.pem"
    file.write_text(first + end)
    return str(file)
