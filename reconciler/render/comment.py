"""A comment's text: the mark that it is found by, then the page, no longer than a comment may be.

Pages are kept short by whole rows where they are made (see `page`). Whatever is too long all the same is cut
at a line's end, with what it left open closed, and says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.model.comment import LONGEST_MARK
from reconciler.render.page import LIMITS, code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.comment import Mark, Place, Posted, Service

_OPEN, _CLOSE, _FENCE = "<details>", "</details>", "```"
# A page about a plan has one or two; somebody else's text may have any number.
_CLOSED_AT_MOST = 20


def comment_text(mark: Mark, page: str, service: Service) -> str:
    """The whole text of a comment.

    Args:
        mark: its first line.
        page: Markdown; what comes from outside is escaped in it already.
        service: whose limit counts.
    """
    limit = LIMITS[service.value]
    assert limit.size is not None
    limit = limit._replace(size=limit.size + LONGEST_MARK)
    assert limit.size is not None
    whole = f"{mark.line()}\n{page.strip()}\n"
    if limit.measure(whole) <= limit.size:
        return whole
    lines = whole.splitlines()
    room = (
        limit.size - limit.measure(_said(len(lines))) - _CLOSED_AT_MOST * (len(_CLOSE) + 1) - len(_FENCE) - 2
    )
    taken: list[str] = []
    for line in lines:
        room -= limit.measure(line) + 1
        if room < 0:
            break
        taken.append(line)
    return "\n".join([*taken, *_closing(taken), _said(len(lines) - len(taken))])


def _said(lines: int) -> str:
    return f"\n… cut here, since a comment takes no more: {lines:,} more line{'' if lines == 1 else 's'}\n"


def _closing(lines: Sequence[str]) -> list[str]:
    """What closes what these lines leave open."""
    fenced = sum(1 for line in lines if line.lstrip().startswith(_FENCE)) % 2
    folded = sum(line.count(_OPEN) - line.count(_CLOSE) for line in lines)
    return [
        *([_FENCE] if fenced else []),
        *([""] if folded > 0 else []),
        *[_CLOSE] * min(folded, _CLOSED_AT_MOST),
    ]


def stopped_text(why: str, digest: str, page: str) -> str:
    """Why nothing was applied after a merge, in front of the plan as it is now.

    Args:
        why: the reason, in a sentence of ours.
        digest: what would be done now.
        page: the plan, as Markdown.
    """
    return (
        "### Nothing was applied\n\n"
        f"**The plan after the merge is not the one that was reviewed:** {_told(why)}.\n\n"
        f"If what stands below is what you want, start the apply job by hand with the digest {code(digest)}."
        " Else change the manifests: the next request shows all that is still to be done.\n\n"
        f"{page.strip()}\n"
    )


_NAMED = re.compile(r"(sha256:[0-9a-f]{64}|\b[0-9a-f]{12}\b)")
_PLAIN = re.compile(r"[A-Za-z0-9 ,:.-]*")


def _told(why: str) -> str:
    """A sentence of ours, in which digests, commits and whatever else is no plain word stand as code."""
    return "".join(
        part if place % 2 == 0 and _PLAIN.fullmatch(part) else code(part, 500)
        for place, part in enumerate(_NAMED.split(why))
    )


def posted_line(posted: Posted, place: Place) -> str:
    """What became of the comment, for people."""
    more = ""
    if posted.surplus:
        more = f"; {posted.surplus} more with the same mark, which no run keeps up to date: delete them"
    there = f" ({posted.url})" if posted.url.startswith(("https://", "http://")) else ""
    return f"Comment on request {posted.number} of {place.repository}: {posted.done}{there}{more}"
