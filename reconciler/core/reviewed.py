"""Whether a plan is the one that was reviewed before the merge; whatever is in doubt, it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.comment import Reviewed


def not_reviewed(reviewed: Reviewed, planned: str) -> str:
    """Why a plan is not the reviewed one; "" where it is.

    Args:
        reviewed: what the merged request's comment says.
        planned: digest of what the plan would do.
    """
    request, mark = reviewed.request, reviewed.mark
    if request is None:
        return "the commit came with no merged request, so that nobody has reviewed its plan"
    if mark is None:
        return f"request {request.number} has no comment of this project that shows a plan"
    if reviewed.editor:
        return f"the comment of request {request.number} was edited last by {reviewed.editor}"
    if not mark.digest:
        return f"the comment of request {request.number} shows no plan that came to its end"
    if not mark.commit or mark.commit != request.head:
        shown = mark.commit[:12] or "a commit that nobody knows"
        return (
            f"the comment of request {request.number} is of {shown}, and the request ended with"
            f" {request.head[:12]}"
        )
    if mark.digest != planned:
        return (
            f"what is to be done has changed since request {request.number} was reviewed: {mark.digest} was"
            f" shown, and it is {planned} now"
        )
    return ""
