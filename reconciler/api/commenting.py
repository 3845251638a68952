"""Faces for comments on pull and merge requests: where one stands, what it says, what was reviewed by it.

No state is read, and no service that processes documents is asked. Of the project only its file is read, so
that what is wrong with the manifests can be commented on as well.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.api.running import environment_of
from reconciler.model.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.model.comment import Mark, Place, Posted, Service
    from reconciler.model.saved import SavedPlan


def comment_place(
    *,
    service: Service | None = None,
    repository: str = "",
    number: int | None = None,
    token: str = "",
    environ: Mapping[str, str] | None = None,
) -> Place:
    """Where to comment: as the arguments say, else as the environment of GitHub's or GitLab's runner does.

    Args:
        service: who keeps the repository.
        repository: its name there.
        number: the request's number.
        token: the environment variable that has the token; never the token itself.
        environ: environment variables; those of this process by default.

    Raises:
        SettingsError: something is missing.
    """
    from reconciler.adapters.forges import find_place

    return find_place(
        environment_of(environ), service=service, repository=repository, number=number, token=token
    )


def comment_mark(
    place: Place,
    folder: str | Path = ".",
    *,
    id: str = "",  # noqa: A002 - the option's word
    plan: SavedPlan | None = None,
) -> Mark:
    """The mark of a project's comment, which keeps what a plan would do.

    Args:
        place: where it stands.
        folder: the project's folder.
        id: tells several comments of a project apart.
        plan: what the comment shows, as `read_plan` gives it.

    Raises:
        ManifestError: the project file has faults, so that the project has no name.
    """
    from reconciler.api.reading import read_project_file
    from reconciler.model.comment import Mark

    file, diagnostics = read_project_file(Path(folder))
    if file is None:
        raise ManifestError(diagnostics)
    digest = "" if plan is None else plan.digest
    return Mark(project=file.name, id=id, digest=digest, commit=place.planned)


def post_comment(
    place: Place,
    mark: Mark,
    body: str,
    *,
    environ: Mapping[str, str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Posted:
    """Have the request bear exactly one comment with this mark, with this body.

    Args:
        place: as `comment_place` gives it.
        mark: what it is found by.
        body: its whole text, which begins with the mark.
        environ: environment variables; those of this process by default.
        sleep: waits, where the service asks to.

    Raises:
        SettingsError: there is no token.
        ServiceError: the service refused, or cannot be reached.
    """
    from reconciler.adapters.forges import forge_of, post

    return post(forge_of(place, environment_of(environ), sleep), place, mark, body)


def saved_plan_changes(plan: SavedPlan) -> bool:
    """Whether a saved plan does anything."""
    from reconciler.core.saved import changes as decide

    return decide(plan)


def not_reviewed(
    place: Place,
    mark: Mark,
    plan: SavedPlan,
    *,
    environ: Mapping[str, str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Why a plan is not the one that the merged request's comment shows; "" where it is, or changes nothing.

    Args:
        place: as `comment_place` gives it.
        mark: of the comment; what it shows is not looked at.
        plan: as `read_plan` gives it.
        environ: environment variables; those of this process by default.
        sleep: waits, where the service asks to.

    Raises:
        SettingsError: there is no token.
        ServiceError: it could not be found out.
    """
    from reconciler.adapters.forges import forge_of, reviewed
    from reconciler.core.reviewed import not_reviewed as decide

    if not saved_plan_changes(plan):
        return ""
    return decide(reviewed(forge_of(place, environment_of(environ), sleep), place, mark), plan.digest)
