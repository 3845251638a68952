"""Comments on pull and merge requests, through the APIs of GitHub and GitLab.

`place` reads from a runner's environment where to comment; `wire` sends one request, with a bounded time and
with the token to one place only; `github` and `gitlab` know the addresses and fields, which are those of
their REST references ("Issue comments", "Commits", "Pulls"; "Notes", "Merge requests", "Users"); `posting`
finds the one comment that is ours and brings it up to date. What a comment says is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from reconciler.adapters.forges.place import find_place, token_of
from reconciler.adapters.forges.posting import post, reviewed
from reconciler.model.comment import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.adapters.forges.posting import Forge
    from reconciler.model.comment import Place

__all__ = ["find_place", "forge_of", "post", "reviewed"]


def forge_of(place: Place, environ: Mapping[str, str], sleep: Callable[[float], None]) -> Forge:
    """The way to the service that keeps the repository.

    Raises:
        SettingsError: there is no token, or nothing that it may be sent to.
    """
    from reconciler.adapters.forges.wire import Wire

    token = token_of(place, environ)
    match place.service:
        case Service.GITHUB:
            from reconciler.adapters.forges.github import GitHub

            headers = {
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            }
            return GitHub(Wire(place.api, headers, token, sleep), place)
        case Service.GITLAB:
            from reconciler.adapters.forges.gitlab import GitLab

            return GitLab(Wire(place.api, {"PRIVATE-TOKEN": token}, token, sleep), place)
    assert_never(place.service)
