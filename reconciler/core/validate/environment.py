"""Environment variables that the manifests need and that are not set.

Warnings, because ``validate`` runs where secrets are not; who is about to use them makes them errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from reconciler.core.validate.words import dotted
from reconciler.model.manifest import BatchSet, InlineWebhook, TrackedBatch
from reconciler.model.project import (
    ForeignProvider,
    LlamaCloudProvider,
    LocalProvider,
    PostgresState,
    ProviderSpec,
    TalonicProvider,
)
from reconciler.model.secret import FromEnvironment
from reconciler.model.source import Diagnostic, Path, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.model.project import ProjectFile

#: The variables that LlamaCloud's own SDK reads, in its order.
LLAMACLOUD_KEYS = ("LLAMA_CLOUD_API_KEY", "LLAMA_PARSE_API_KEY")
TALONIC_KEYS = ("TALONIC_API_KEY",)


def unset_variables(
    project: ProjectFile,
    sets: Sequence[BatchSet],
    tracked: Sequence[TrackedBatch],
    environment: Mapping[str, str],
) -> tuple[Diagnostic, ...]:
    """One warning for each variable that a used provider or a webhook needs and that is unset or empty."""
    used = {item.provider for item in sets} | {item.provider for item in tracked}
    found: list[Diagnostic] = []
    match project.state:
        case PostgresState(url=FromEnvironment(variable)) if not environment.get(variable):
            message = f"{_unset((variable,))}: the state's connection string stands there"
            found.append(
                Diagnostic(project.locate(("spec", "state", "url", "env")), message, Severity.WARNING)
            )
        case _:
            pass
    for name, provider in sorted(project.providers.items()):
        for option, variables, what in _variables(provider):
            if name in used and not any(environment.get(item) for item in variables):
                path: Path = ("spec", "providers", name, *option, "env")
                message = f"{_unset(variables)}: provider {name!r} takes its {what} from there"
                found.append(Diagnostic(project.locate(path), message, Severity.WARNING))
    for item in sets:
        for path, secret in _secrets(item):
            if not environment.get(secret.variable):
                message = (
                    f"{_unset((secret.variable,))}: a webhook of {item.name!r} takes a secret from there"
                )
                found.append(Diagnostic(item.locate(path), message, Severity.WARNING))
    return tuple(sorted(found))


def _unset(variables: tuple[str, ...]) -> str:
    match variables:
        case (one,):
            return f"the environment variable {one} is not set"
        case _:
            return f"none of the environment variables {', '.join(variables)} is set"


def _variables(provider: ProviderSpec) -> Iterator[tuple[Path, tuple[str, ...], str]]:
    """Where a block names secrets, the variables any of which holds each, and what each is."""
    match provider:
        case LocalProvider():
            return
        case (
            LlamaCloudProvider(api_key=FromEnvironment(variable))
            | TalonicProvider(api_key=FromEnvironment(variable))
        ):
            yield ("apiKey",), (variable,), "API key"
        case LlamaCloudProvider():
            yield ("apiKey",), LLAMACLOUD_KEYS, "API key"
        case TalonicProvider():
            yield ("apiKey",), TALONIC_KEYS, "API key"
        case ForeignProvider():
            for path, variable in provider.secrets():
                yield path, (variable,), dotted(path)
        case _:
            assert_never(provider)


def _secrets(item: BatchSet) -> Iterator[tuple[Path, FromEnvironment]]:
    for index, webhook in enumerate(item.webhooks):
        if not isinstance(webhook, InlineWebhook):
            continue
        path = ("spec", "webhooks", index)
        if webhook.signing_secret is not None:
            yield (*path, "webhook_signing_secret", "env"), webhook.signing_secret
        for name, text in webhook.headers.items():
            if isinstance(text, FromEnvironment):
                yield (*path, "webhook_headers", name, "env"), text
