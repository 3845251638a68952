"""From a document to its text, by the ending of its name; each failure says why, in words.

Nothing is guessed: a text that is no UTF-8 is an error, not a row of replacement characters. Not here:
where the text goes (`reader`), and what protects the service from a document (`reader_process`).
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from reconciler.emulator.errors import Unreadable

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 100 * 1024 * 1024
# Where readers of PDF look for its first bytes.
_PDF_WITHIN = 1024
SUFFIXES = (".pdf", ".txt", ".md", ".html", ".htm")

_HIDDEN = frozenset({"script", "style", "template", "noscript", "head"})
# The title is the one thing in a head that a reader sees.
_SHOWN_IN_HIDDEN = "title"
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "dfn", "em", "font", "i", "kbd", "label"}
    | {"mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"}
)
_CELLS = frozenset({"td", "th"})


def parse(path: Path) -> str:
    """Give the text of a document.

    Raises:
        Unreadable: with the reason, for whoever owns the document.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise Unreadable(f"unsupported file type {suffix!a}: only {', '.join(SUFFIXES)} are read")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"the file cannot be read: {error.strerror}") from error
    if not content:
        raise Unreadable("the file is empty")
    if len(content) > MAX_BYTES:
        raise Unreadable(f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")
    match suffix:
        case ".pdf":
            return _pdf(content)
        case ".html" | ".htm":
            return html_to_text(_decode(content))
        case _:
            return _decode(content)


def html_to_text(source: str) -> str:
    """Give what a reader sees of an HTML page: no scripts, no styles, a line for each block."""
    reader = _HtmlReader()
    reader.feed(source)
    reader.close()
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in "".join(reader.pieces).split("\n"))
    return "".join(f"{line}\n" for line in lines if line)


def _pdf(content: bytes) -> str:
    # A few bytes may stand before a PDF. Anything else goes no further: liteparse looks at what it is
    # given, and would hand an office document or a picture to whatever converter it finds installed.
    start = content.find(b"%PDF-", 0, _PDF_WITHIN)
    if start < 0:
        raise Unreadable("not a PDF: it does not begin with %PDF-")
    from liteparse import LiteParse, ParseError

    # With OCR on, liteparse downloads its models. Headers and footers carry invoice numbers.
    parser = LiteParse(ocr_enabled=False, quiet=True, keep_headers_footers=True, num_workers=1)
    try:
        result = parser.parse(content[start:])
    except ParseError as error:
        raise Unreadable(f"not a readable PDF: {error}") from error
    if result.pages and not result.text.strip():
        raise Unreadable(
            "the PDF holds no text, perhaps only pictures of pages: character recognition is off"
        )
    text: str = result.text
    return text


def _decode(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"the text is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}"
        ) from error
    if "\0" in text:
        raise Unreadable(f"not a text: a NUL byte at offset {content.index(0)}")
    return text


class _HtmlReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: list[str] = []
        self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        # A body ends a head that was never closed, as it does in a browser.
        if tag == "body":
            self._hidden.clear()
        if tag in _HIDDEN or (self._hidden and tag == _SHOWN_IN_HIDDEN):
            self._hidden.append(tag)
        self._verbatim += tag == "pre"
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        self._verbatim = max(0, self._verbatim - (tag == "pre"))
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden or self._hidden[-1] == _SHOWN_IN_HIDDEN:
            self.pieces.append(data if self._verbatim else re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _CELLS:
            self.pieces.append(" ")
        elif tag not in _INLINE:
            self.pieces.append("\n")
