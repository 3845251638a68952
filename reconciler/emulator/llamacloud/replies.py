"""The shapes of what is sent: one function a noun of the API, from a value to its JSON object.

Every documented field is there, null where there is nothing to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from reconciler.emulator.moments import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.emulator.llamacloud.batches import Batch, Job, Result
    from reconciler.emulator.llamacloud.configuration_files import Configuration
    from reconciler.emulator.llamacloud.folders import Directory, DirectoryFile
    from reconciler.emulator.moments import Micros

Reply: TypeAlias = dict[str, object]


def batch(value: Batch, results: Sequence[Result] | None) -> Reply:
    """Give a batch; `results` is null when it was not asked for, or nothing is mapped yet."""
    rows = [
        {
            "source_directory_file_id": result.file_id,
            "job_reference": None if result.job_id is None else {"type": value.job_type, "id": result.job_id},
            "error_message": result.error_message,
        }
        for result in results or ()
    ]
    return {
        "id": value.id,
        "project_id": value.project_id,
        "source_directory_id": value.directory_id,
        "config": {"job": {"type": value.job_type, "configuration_id": value.configuration_id}},
        "status": value.status,
        "results": rows or None,
        "created_at": rfc3339(value.created),
        "updated_at": rfc3339(value.updated),
    }


def directory(value: Directory, project_id: str) -> Reply:
    """Give a directory."""
    return {
        "id": value.id,
        "name": value.shown,
        "project_id": project_id,
        "type": value.type,
        "description": value.description,
        "expires_at": _moment(value.expires),
        "deleted_at": _moment(value.deleted),
        "system_metadata": _object(value.system_metadata),
        "connector_subscription_id": value.connector_subscription_id,
        "created_at": rfc3339(value.created),
        "updated_at": rfc3339(value.updated),
    }


def directory_file(value: DirectoryFile, project_id: str) -> Reply:
    """Give a directory file. Nothing here is ever to be downloaded."""
    return {
        "id": value.id,
        "directory_id": value.directory_id,
        "project_id": project_id,
        "display_name": value.shown,
        "unique_id": value.unique_id,
        "file_id": value.file_id,
        "metadata": _object(value.metadata),
        "download_url": None,
        "deleted_at": _moment(value.deleted),
        "created_at": rfc3339(value.created),
        "updated_at": rfc3339(value.updated),
    }


def configuration(value: Configuration) -> Reply:
    """Give a configuration; a file tells no time of creation."""
    return {
        "id": value.id,
        "name": value.name,
        "product_type": value.product_type,
        "parameters": dict(value.parameters),
        "version": rfc3339(value.version),
        "created_at": _moment(value.created),
        "updated_at": rfc3339(value.updated),
    }


def parse_job(value: Job) -> Reply:
    """Give a parse job, which stands inside an object."""
    return {
        "job": {
            "id": value.id,
            "project_id": value.project_id,
            "status": value.status,
            "error_message": value.error_message,
            "name": value.name,
            "tier": None,
            "created_at": rfc3339(value.created),
            "updated_at": rfc3339(value.updated),
        }
    }


def extract_job(value: Job) -> Reply:
    """Give an extract job, which is flat."""
    return {
        "id": value.id,
        "project_id": value.project_id,
        "status": value.status,
        "error_message": value.error_message,
        "file_input": value.file_id,
        "created_at": rfc3339(value.created),
        "updated_at": rfc3339(value.updated),
    }


def project(project_id: str) -> Reply:
    """Give the one project there is."""
    return {
        "id": project_id,
        "name": project_id,
        "organization_id": "org-local",
        "is_default": True,
        "created_at": None,
        "updated_at": None,
    }


def page(items: Sequence[Reply], next_page_token: str | None) -> Reply:
    """Give one page of a list. `total_size` is for display, and nothing asks for it."""
    return {"items": list(items), "next_page_token": next_page_token, "total_size": None}


def _moment(value: Micros | None) -> str | None:
    return None if value is None else rfc3339(value)


def _object(value: Mapping[str, object] | None) -> Reply | None:
    return None if value is None else dict(value)
