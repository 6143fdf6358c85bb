"""Code, templates and documents are written in American English, without some phrases that no native writer uses.

Only prose is checked: comments, docstrings and strings with a space in Python files, all text elsewhere. The log
keeps its wording as history.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT_SUFFIXES = (".html", ".js", ".css", ".md")
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

# British stems with their endings; American words with the same beginning have other endings.
BRITISH = (
    r"\w*(?:normal|general|initial|optim|summar|recogn|penal|capital|central|organ|character|linear|author|real|minim|"
    r"maxim|util|serial|token|random|standard|visual|categor|emphas|priorit|synchron|regular|quant)is(?:e[ds]?|ing|ation\w*)",
    r"(?:over|re|un)?(?:colour|behaviour|favour|honour|neighbour|labour|flavour)\w*",
    r"\w*(?:cent|met|theat|fib)re[sd]?",
    r"(?:re|un)?(?:label|model|travel|cancel|signal|total)l(?:ed|ing)",
    r"\w*judgement\w*",
    r"(?:grey|artefact|learnt|spelt|burnt|whilst|amongst|towards|afterwards|catalogue|programme|licence|defence|offence)\w*",
)
PHRASES = (
    r"go(?:es)? on (?:where|from|with|as)",
    r"gone on with",
    r"handed in",
    r"hands? in\b",
    r"stands? (?:in|under|beside|there|alone|for itself|twice)",
    r"lies? (?:in|beside|under) (?:the|its|a)\b",
    r"spoil(?:t|s|ed)?",
    r"mend(?:s|ed|ing)?",
    r"a verb\b",
    r"(?:no|every|each|this) verb",
    r"wherefrom",
    r"a word about",
    r"without a word",
    r"the house",
    r"in any form that people have",
    r"parts? (?:the|them|text|it) (?:into|by)",
    r"of (?:its|their) own making",
    r"nats a response",
    r"(?:one|a line|a row|a file) (?:a|an) (?:prompt|response|labeler|line|step|stage|row|arm)\b",
    r"is told (?:at once|to)",
    r"whoever\b",
    r"anew\b",
)
WRONG = re.compile(rf"\b(?:{'|'.join((*BRITISH, *PHRASES))})\b", re.IGNORECASE)
QUOTED = re.compile(r"<!-- quoted -->.*?<!-- end of quotation -->", re.DOTALL)
# Names in code, templates and files; and a misspelling of the paper that is quoted.
ALLOWED = re.compile(
    "|".join(
        (
            r"`[^`]*`",
            r"https?://\S+",
            r"[\w./-]+\.(?:html|jsonl?|md|py|yaml)",
            r"\w*_\w+",
            r"\w+(?:\.\w+)+|(?<=[/.])\w+",
            r"--redo \w+",
            r"\{[{%].*?[%}]\}|\{\w+\}",
            r"\b(?:id|href|class|name|for|action)=\"[^\"]*\"",
            r"Satisifies",
        )
    )
)


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of everything in a file that is written for people."""
    # What a model wrote is quoted as it is.
    text = QUOTED.sub(lambda match: "\n" * match[0].count("\n"), path.read_text(encoding="utf-8"))
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), start=1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, line


def wrong_words(path: Path) -> list[str]:
    return [
        f"{path.name}:{line}: {match[0]}"
        for line, text in prose_of(path)
        for match in WRONG.finditer(ALLOWED.sub(" ", text))
    ]


def files() -> list[Path]:
    package = ROOT / "src" / "tutelage"
    code = [path for path in sorted(package.rglob("*")) if path.suffix in (".py", *TEXT_SUFFIXES)]
    return [*code, *DOCUMENTS]


def test_prose_is_american_english() -> None:
    assert len(files()) > 300
    assert [wrong for path in files() for wrong in wrong_words(path)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", '"""The colour of a line."""\n'),
        ("a.py", "x = 1  # its weights are spoilt\n"),
        ("a.py", 'raise ValueError("the run goes on where it was")\n'),
        ("a.html", "<p>Labelled by two people</p>"),
        ("a.md", "Scores are normalised.\n"),
    ],
)
def test_a_planted_word_is_found(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert len(wrong_words(path)) == 1


def test_names_and_american_words_are_no_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        '"""The `colour` of judgements_per_prompt: precise, exercise, otherwise, promise."""\nnormalise = 1\n'
    )
    assert wrong_words(path) == []
