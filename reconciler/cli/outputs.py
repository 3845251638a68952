"""Where a command's result goes: standard output in one format, files beside it, a runner's files.

`with_formats` gives a command the options and an `Output`; the command shows it a `View` and returns its
exit code, and everything else about formats happens here. Standard output gets the format and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler import __version__
from reconciler.cli.console import json_line, json_text, say_diagnostics, say_error
from reconciler.cli.exits import Exit, of_error
from reconciler.cli.into import Appended, Into
from reconciler.model.errors import ReconcilerError, SettingsError
from reconciler.model.project import FileState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.cli.console import Console
    from reconciler.cli.views import View
    from reconciler.model.events import Event, Listener
    from reconciler.model.project import Project
    from reconciler.model.source import Diagnostic
    from reconciler.render.page import Page
    from reconciler.render.remarks import Remark

#: What every command that shows a result can write; each is text, a document, a stream, or for a service.
FORMATS: Final = ("text", "json", "ndjson", "markdown", "github")
#: What `validate` can write beside that.
VALIDATION_FORMATS: Final = (*FORMATS, "junit", "sarif")

MARKDOWN_LIMITS: Final = ("github", "gitlab", "bitbucket", "none")


class Output:
    """What becomes of one command's result."""

    def __init__(
        self,
        command: str,
        form: str,
        json_into: str | None,
        markdown: tuple[str | None, str],
        html_into: str | None = None,
    ) -> None:
        """Begin everything that is to be written, so that what cannot be is known before anything is done.

        Args:
            command: the command's name.
            form: one of the formats.
            json_into: a file for the JSON document, or None.
            markdown: a file for the page, or None; and how long a page may be.
            html_into: a file for the page as HTML, or None.

        Raises:
            SettingsError: a file cannot be written.
        """
        self._form = form
        self._command = command
        self._limit = markdown[1]
        self._view: View | None = None
        self._pages: list[tuple[Into, Callable[[Page], str]]] = []
        self._warnings: Sequence[Diagnostic] = ()
        self._files: list[tuple[Into, Callable[[View], str]]] = []
        try:
            if json_into is not None:
                sign = b'{\n  "formatVersion"'
                self._begin("--json-into", json_into, sign, lambda view: f"{json_text(view.document())}\n")
            if markdown[0] is not None:
                self._begin_page("--markdown-into", markdown[0], b"### ", self._page)
            if html_into is not None:
                from reconciler.render.report import SIGN

                self._begin_page("--html-into", html_into, SIGN.encode(), _html)
            self._summary = self._appended("GITHUB_STEP_SUMMARY")
            self._outputs = self._appended("GITHUB_OUTPUT")
        except BaseException:
            self.close()
            raise

    def _begin_page(self, option: str, name: str, sign: bytes, text: Callable[[Page], str]) -> None:
        self._pages.append((self._begin(option, name, sign, lambda view: text(view.page())), text))

    def _begin(self, option: str, name: str, sign: bytes, text: Callable[[View], str]) -> Into:
        file = Into(option, name, sign)
        self._files.append((file, text))
        if len({there.path for there, _ in self._files}) < len(self._files):
            raise SettingsError(f"{option} names a file that is written already", where=name)
        return file

    def _appended(self, variable: str) -> Appended | None:
        name = os.environ.get(variable)
        return Appended(variable, name) if name and self._form == "github" else None

    @property
    def plain(self) -> bool:
        """Whether the result is for people's eyes and nothing else."""
        return self._form == "text" and not self._files

    def started(self) -> None:
        """Say what must be said first."""
        if self._form == "ndjson":
            from reconciler.render.events import version_event

            self._tell([version_event(__version__, self._command)])

    def of(self, project: Project, *others: str | None) -> None:
        """Take notice of the project: its warnings are said, and its own files are not written over.

        Args:
            project: the project.
            others: files that the command reads or writes itself, if any.

        Raises:
            SettingsError: a file that is to be written is one of these.
        """
        try:
            refuse_own(project, [file for file, _ in self._files], *others)
        except SettingsError:
            self.close()
            self._files, self._pages = [], []  # nor may the error be written there
            raise
        self._warnings = project.warnings
        if self._form == "ndjson":
            from reconciler.render.events import diagnostics_events

            self._tell(diagnostics_events(project.warnings))
        else:
            say_diagnostics(project.warnings)

    def listener(self, progress: Listener) -> Listener:
        """Who hears what happens: a person, or whoever reads the events."""
        if self._form != "ndjson":
            return progress
        from reconciler.model.events import Planned
        from reconciler.render.events import run_events

        def tell(event: Event) -> None:
            self._tell(run_events(event))
            if isinstance(event, Planned):
                progress(event)  # whoever is asked about the plan next has to see it

        return tell

    def show(self, out: Console, view: View) -> None:
        """Show the result on standard output; the files follow when the command has come to its end."""
        self._view = view
        match self._form:
            case "text":
                out.say(view.lines(out.colour) if view.lines else ())
            case "json":
                out.document(view.document())
            case "ndjson":
                self._tell(view.events())
            case "markdown":
                click.echo(self._page(view.page()), nl=False)
            case "github":
                out.say(view.lines(out.colour) if view.lines else ())
                from reconciler.render.remarks import diagnostics_remarks

                self._annotate([*diagnostics_remarks(self._warnings), *view.remarks()], view)
            case "junit":
                assert view.junit is not None
                click.echo(view.junit(), nl=False)
            case "sarif":
                assert view.sarif is not None
                out.document(view.sarif(_prefix()))
            case other:
                raise AssertionError(other)

    def _page(self, page: Page) -> str:
        from reconciler.render.page import LIMITS, page_text

        return page_text(page, LIMITS[self._limit])

    def _tell(self, events: Iterable[dict[str, Any]]) -> None:
        from datetime import UTC, datetime

        for event in events:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            click.echo(json_line(event | {"@timestamp": now}))

    def _annotate(self, remarks: Iterable[Remark], view: View | None = None) -> None:
        from reconciler.render.github import annotation_lines

        for line in annotation_lines(remarks, view.place if view else lambda _, __: None, _prefix()):
            click.echo(line)

    def finished(self, code: int) -> int:
        """Write the files, and what a runner reads; gives the exit code, which a failure to write may raise.

        What the command did is done by then, so that a file that cannot be written changes no worse code.
        """
        try:
            if self._view is not None:
                for file, text in self._files:
                    file.write(text(self._view))
                self._sum_up(self._view.page)
            self._put_out(dict if self._view is None else self._view.outputs, code)
        except SettingsError as error:
            say_error(error)
            code = Exit.ERROR if code in (Exit.DONE, Exit.CHANGES) else code
        if self._form == "ndjson":
            from reconciler.render.events import end_event

            self._tell([end_event(code)])
        return code

    def _sum_up(self, page: Callable[[], Page]) -> None:
        if self._summary is None:
            return
        from reconciler.render.page import STEP_SUMMARY, page_text

        assert STEP_SUMMARY.size is not None
        limit = STEP_SUMMARY._replace(size=max(STEP_SUMMARY.size - self._summary.size - 1, 0))
        self._summary.add(page_text(page(), limit) + "\n")

    def _put_out(self, outputs: Callable[[], Mapping[str, str]], code: int) -> None:
        if self._outputs is not None:
            from reconciler.render.github import outputs_text

            self._outputs.add(outputs_text({**outputs(), "exitcode": str(int(code))}))

    def failed(self, error: ReconcilerError) -> None:
        """An error ended the command. A person is told elsewhere; here whoever reads the format is.

        A page says it, too, lest that of an earlier run be taken for this one's.
        """
        from reconciler.render.markdown import error_page

        code = of_error(error)
        if self._form == "ndjson":
            from reconciler.model.errors import ManifestError
            from reconciler.render.events import diagnostics_events, error_event

            if isinstance(error, ManifestError):
                self._tell(diagnostics_events(error.diagnostics))
            self._tell([error_event(error, code)])
        elif self._form == "github":
            from reconciler.render.remarks import error_remarks

            self._annotate(error_remarks(error))
        page = error_page(error)
        if self._form == "markdown":
            click.echo(self._page(page), nl=False)
        with contextlib.suppress(SettingsError):
            self._sum_up(lambda: page)
            self._put_out(dict, code)
            for file, text in self._pages:
                file.write(text(page))

    def close(self) -> None:
        """Take away what was begun and not written."""
        for file, _ in self._files:
            file.close()


def refuse_own(project: Project, files: Iterable[Into], *others: str | None) -> None:
    """Keep files of the project, and others that a command reads or writes, from being written over.

    Raises:
        SettingsError: one of the files that are to be written is one of these.
    """
    names = [*_own_files(project), *(name for name in others if name)]
    own = {os.path.realpath(os.path.join(project.folder, name)) for name in names}  # noqa: PTH118
    for file in files:
        if str(file.path) in own:
            raise SettingsError(
                "the result cannot be written over a file of the project or the command",
                where=str(file.path),
                next="Name another file",
            )


def _html(page: Page) -> str:
    from datetime import UTC, datetime

    from reconciler.render.report import plain_html

    return plain_html(page, datetime.now(UTC))


def _own_files(project: Project) -> list[str]:
    """What the project consists of, whether it is there or not."""
    state = project.file.state
    files = [state.path, f"{state.path}.journal"] if isinstance(state, FileState) else []
    manifests = {item.source.file for item in project.sets} | {item.source.file for item in project.tracked}
    return [project.file.source.file, *files, *sorted(manifests)]


def _prefix() -> str:
    """The project's folder within the repository that a runner has checked out, with a slash, or ""."""
    root = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR")
    if not root:
        return ""
    inside = os.path.relpath(os.path.realpath("."), os.path.realpath(root))
    return "" if inside == "." or inside.startswith("..") else f"{inside}/"


def with_formats(formats: Sequence[str] = FORMATS) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command ``--format``, the files beside it, and an `Output` to show its result to."""
    options = (
        click.option(
            "--format",
            type=click.Choice(formats),
            default="text",
            help="What standard output gets: text for people, or a form of docs/formats.md.",
        ),
        click.option("--json-into", metavar="FILE", help="Write the JSON document into this file as well."),
        click.option(
            "--markdown-into", metavar="FILE", help="Write the page of Markdown into this file as well."
        ),
        click.option(
            "--html-into", metavar="FILE", help="Write it as a page of HTML into this file as well."
        ),
        click.option(
            "--markdown-limit",
            type=click.Choice(MARKDOWN_LIMITS),
            default="github",
            show_default=True,
            help="Keep the page as short as a comment there has to be.",
        ),
    )

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def run(
            *,
            json_into: str | None,
            markdown_into: str | None,
            html_into: str | None,
            markdown_limit: str,
            **rest: Any,  # noqa: ANN401
        ) -> int:
            name = command.__name__.removesuffix("_command")
            output = Output(name, rest["format"], json_into, (markdown_into, markdown_limit), html_into)
            with contextlib.closing(output):
                output.started()
                try:
                    return output.finished(command(output=output, **rest))
                except ReconcilerError as error:
                    output.failed(error)
                    raise

        decorated: Callable[..., int] = run
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate
