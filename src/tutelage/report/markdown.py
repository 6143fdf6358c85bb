"""report.md: the result, the claims and the figures of a run as text for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from markupsafe import Markup

from tutelage.report.assessment import Assessment, Finding
from tutelage.report.content import Content
from tutelage.report.figure_files import FIGURES
from tutelage.report.figures.exhibit import Exhibit
from tutelage.report.finding import finding
from tutelage.report.notation import with_interval
from tutelage.report.run_folder import RunData
from tutelage.report.tables import Table

# In every text file that a report writes, so that the next one may replace it.
MARK = "Written by tutelage report"
# The figures shown at first; the others are collapsed.
_KEY_FIGURES = ("fig-01-win-rate", "fig-04-metadata", "fig-06-truthfulness", "fig-29-skills-few-shot")


def render_markdown(run: RunData, content: Content) -> str:
    """The run in Markdown, links relative to the run folder."""
    return "\n".join(_blocks(run, content)) + f"\n\n<!-- {MARK} -->\n"


def _blocks(run: RunData, content: Content) -> Iterator[str]:
    yield f"# {_escaped(run.name)}\n"
    if (found := finding(run)) is not None:
        yield f"{_text(found)}\n"
    if run.summary.get("simulated_labelers"):
        yield "The labelers of this run are simulated: a program judged instead of people.\n"
    if content.result is not None:
        yield "## Result\n"
        yield from _table(content.result)
        if content.note:
            yield f"{_escaped(content.note)}\n"
    measured = [claim for claim in content.claims if claim.verdict != "not measured"]
    if measured:
        yield "## The paper’s claims\n"
        yield from _rows(
            ("Claim", "In the paper", "Here", "Reproduced if", "Verdict"), (_claim_cells(claim) for claim in measured)
        )
    yield from _figures(content.figures)
    yield "Every number is in [report.html](report.html), with its file."


def _claim_cells(claim: Assessment) -> list[str]:
    found = [finding for finding in claim.findings if finding.estimate is not None]
    here = "<br>".join(_finding(part) for part in found)
    rules = "<br>".join(part.part.rule_words for part in claim.findings)
    return [claim.claim.statement, claim.claim.paper, here, rules, f"**{claim.verdict}**"]


def _finding(found: Finding) -> str:
    assert found.estimate is not None
    return f"{found.part.label}: {_text(with_interval(found.estimate, found.part.form))}"


def _figures(figures: list[Exhibit]) -> Iterator[str]:
    if not figures:
        return
    yield "## Figures\n"
    for exhibit in (figure for figure in figures if figure.name in _KEY_FIGURES):
        yield from _figure(exhibit)
    others = [figure for figure in figures if figure.name not in _KEY_FIGURES]
    if others:
        yield "<details><summary>More figures</summary>\n"
        for exhibit in others:
            yield from _figure(exhibit)
        yield "</details>\n"


def _figure(exhibit: Exhibit) -> Iterator[str]:
    yield f"### {_escaped(exhibit.title)}\n"
    yield f"![{_escaped(exhibit.title)}]({FIGURES}/{exhibit.name}.png)\n"
    yield f"Paper ({exhibit.after}): {exhibit.saw}\n"
    yield f"Here: {_text(exhibit.here)}\n"


def _table(table: Table) -> Iterator[str]:
    yield from _rows(table.columns, ([_text(cell) for cell in row] for row in table.rows))


def _rows(columns: Iterable[str], rows: Iterable[list[str]]) -> Iterator[str]:
    heads = list(columns)
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _text(cell: object) -> str:
    """A cell without its markup; names in the run are treated as data here too."""
    shown = str(cell) if not isinstance(cell, Markup) else cell.striptags()
    return _escaped(shown)


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_<>#])", r"\\\1", " ".join(text.split()))
