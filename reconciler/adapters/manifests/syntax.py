"""What YAML's own errors mean, in plain sentences.

libyaml and PyYAML's pure parser word the same fault differently; both are known here. A fault that has
no sentence of its own is shown in the parser's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from reconciler.adapters.manifests.text import character_at
from reconciler.model.source import Diagnostic, Source

if TYPE_CHECKING:
    from yaml.error import Mark

# Words of the parser's problem, and what to say instead. The first that fits is taken.
_SENTENCES = (
    ("mapping values are not allowed", "a ': ' cannot stand here: quote the value, or check the indentation"),
    ("tab character", "a tab cannot indent: use spaces"),
    ("expected ',' or ']'", "this list in [ ] is never closed, or a ',' is missing before this place"),
    ("expected ',' or '}'", "this mapping in { } is never closed, or a ',' is missing before this place"),
    ("unknown escape character", "an unknown escape after '\\': use single quotes to keep a '\\' as it is"),
    ("invalid Unicode character escape", "this escape is no character that text can hold"),
    ("could not find expected ':'", "a ':' is missing after this key"),
    ("incompatible YAML document", "this YAML version is not read: take the %YAML line out"),
    ("expected <document start>", "'---' is missing before this document"),
)
_BLOCK_PROBLEMS = ("did not find expected key", "expected '-' indicator", "expected <block end>")
_NODE_PROBLEMS = ("did not find expected node content", "expected the node content")


def syntax_fault(error: yaml.YAMLError, text: str, file: str) -> Diagnostic:
    """One diagnostic for what stopped the parser, at the place where it stopped."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Diagnostic(Source(file), f"not valid YAML: {' '.join(str(error).split())}")
    mark = error.problem_mark
    problem = error.problem or ""
    context = error.context or ""
    sentence = _sentence(problem, context, error.context_mark, character_at(text, mark.line, mark.column))
    return Diagnostic(Source(file, mark.line + 1, mark.column + 1), sentence)


def _sentence(problem: str, context: str, opened: Mark | None, character: str) -> str:
    if "unexpected end of stream" in problem and opened is not None:
        return f"the quote that opens at {opened.line + 1}:{opened.column + 1} is never closed"
    if "cannot start any token" in problem:
        return _bad_start(character)
    if any(words in problem for words in _NODE_PROBLEMS):
        return (
            f"a value is missing before {character!r}" if character else "a value or bracket is missing here"
        )
    if any(words in problem for words in _BLOCK_PROBLEMS):
        return "this line does not fit the lines above it: check its indentation"
    for words, sentence in _SENTENCES:
        if words in problem:
            return sentence
    return f"not valid YAML: {context + ': ' if context else ''}{problem}"


def _bad_start(character: str) -> str:
    if character == "\t":
        return "a tab cannot indent: use spaces"
    return f"a value cannot begin with {character!r}: quote it"
