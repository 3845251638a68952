"""Markup, and the frame of a page. Only what is made here is markup; every other string is text.

The frame carries the policy: nothing is loaded from anywhere, nothing is sent, only this style and this
script count, known by their digests, and no script may make markup of a string.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final, TypeAlias

from reconciler.render.harmless import harmless

#: What every page begins with: a file that does is one of ours, and may be replaced by the next.
SIGN: Final = '<!doctype html>\n<html lang="en" data-made-by="reconciler">'


class Html(str):
    """Markup."""

    __slots__ = ()


Child: TypeAlias = "Html | str | int | None"
Value: TypeAlias = "str | int | bool | None"

_VOID = frozenset({"meta", "link", "input", "br"})


def text(value: str | int) -> Html:
    """Text as markup that shows it."""
    if isinstance(value, Html):
        return value
    if isinstance(value, int):
        return Html(f"{value:,}")
    return Html(escape(harmless(value)))


def tag(name: str, /, *children: Child, **attributes: Value) -> Html:
    """An element. ``class_`` is an attribute's name that Python has a word for, ``data_set`` has a hyphen."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """One after the other."""
    return Html("".join(text(child) for child in children if child is not None))


def _attribute(key: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{escape(harmless(str(value)))}"'


def mark(word: str) -> Html:
    """The mark of a health or a sync, whose name stands beside it."""
    return Html(
        f'<svg class="mark is-{word.lower()}" aria-hidden="true"><use href="#m-{word.lower()}"/></svg>'
    )


def labelled(word: str) -> Html:
    """A health or a sync: its mark and its name."""
    return tag("span", mark(word), word, class_="word")


def table(caption: str, columns: tuple[str, ...], rows: list[Html], *, class_: str = "") -> Html:
    """A table; its rows are made by `row`."""
    head = join(*(tag("th", column, scope="col") for column in columns))
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="unseen"),
            tag("thead", tag("tr", head)),
            tag("tbody", *rows),
            class_=class_ or None,
        ),
        class_="wide",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def folded(name: str, columns: tuple[str, ...], rows: list[Html], *, first: int, most: int) -> Html | None:
    """A table of the first few rows, with the others below it on request; None without any."""
    if not rows:
        return None
    rest = rows[first:most]
    if not rest:
        return table(name, columns, rows)
    more = tag("summary", f"{first + 1:,} to {first + len(rest):,} of {len(rows):,}")
    return join(
        table(name, columns, rows[:first]),
        tag("details", more, table(f"{name}, continued", columns, rest)),
    )


def row(*cells: Child) -> Html:
    """A row, whose first cell names it."""
    return tag("tr", tag("th", cells[0], scope="row"), *(tag("td", cell) for cell in cells[1:]))


def code(value: str) -> Html:
    """An id, a digest or a command."""
    return tag("code", value) if value else Html("")


def document(title: str, body: Html, *, data: str = "", script: str = "") -> str:
    """A whole page.

    Args:
        title: what a browser calls it.
        body: what it shows.
        data: for the script; JSON without any ``<``.
        script: the name of the script, or "" for none.
    """
    style, code_ = resource("report.css"), resource(script) if script else ""
    policy = [
        "default-src 'none'",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(code_)}'" if code_ else "script-src 'none'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    head = join(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content="; ".join(policy)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        # Without one, a browser asks the server for /favicon.ico.
        tag("link", rel="icon", href="data:,"),
        Html(f"<style>{style}</style>"),
    )
    parts = [SIGN, f"<head>{head}</head>", "<body>", Html(resource("marks.svg")), body]
    if code_:
        parts += [
            f'<script type="application/json" id="data">{data}</script>',
            f"<script>{code_}</script>",
        ]
    return "\n".join([*parts, "</body>", "</html>", ""])


@cache
def resource(name: str) -> str:
    """A file of this package, as text."""
    return (files("reconciler.render.report") / name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
