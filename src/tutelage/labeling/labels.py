"""From what was submitted on the pages of a task to one label, or to everything that prevents saving it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from tutelage.labeling.fields import Entry, EntryError, Submitted
from tutelage.labeling.fields import Field as FormField
from tutelage.labeling.forms import Page, letters_of, pages_of
from tutelage.labeling.ranking import Groups, read_ranking
from tutelage.labeling.tasks import Task
from tutelage.records import Record

Problems = dict[str, str]
"""What is wrong, by the name of the field ("ranking" for the order as a whole)."""
Entries = dict[str, Entry]


class Label(Record):
    """One labeler's label of one task. Completions are identified by id: letters exist only on the page.

    `fields`: of the pages about the whole task. `of_completions`: by completion id. `ranking`: tie groups, best first;
    empty if there was nothing to rank, or `cannot_rank` says why not.
    """

    fields: Entries = Field(default_factory=dict)
    of_completions: dict[str, Entries] = Field(default_factory=dict)
    ranking: Groups = ()
    cannot_rank: str = ""


class LabelError(ValueError):
    """A label that may not be saved: the problems of every page that has any, by page name."""

    def __init__(self, problems: Mapping[str, Problems]) -> None:
        self.problems = dict(problems)
        super().__init__(f"incomplete pages: {', '.join(self.problems)}")

    def __reduce__(self) -> tuple[type[LabelError], tuple[Mapping[str, Problems]], dict[str, object]]:
        return type(self), (self.problems,), self.__dict__


def page_problems(task: Task, page: Page, submitted: Submitted) -> Problems:
    """What is wrong with one page as submitted; empty if it may be saved."""
    return entry_problems(page.fields, submitted, to_rank=letters_of(task) if page.about == "ranking" else None)


def entry_problems(
    fields: Iterable[FormField], submitted: Submitted, *, to_rank: Sequence[str] | None = None
) -> Problems:
    """What is wrong with the entries of `fields`, by field, and with a ranking of the letters `to_rank`, if any."""
    problems: Problems = {}
    for field in fields:
        try:
            field.read(submitted)
        except EntryError as error:
            problems[field.name] = str(error)
    if to_rank is not None:
        try:
            read_ranking(to_rank, submitted)
        except EntryError as error:
            problems["ranking"] = str(error)
    return problems


def read_label(task: Task, submitted: Mapping[str, Submitted], order: Sequence[str]) -> Label:
    """The label in the submitted pages (by page name), whose letters stand for the completion ids in `order`.

    Raises LabelError with the problems of all pages.
    """
    pages = pages_of(task)
    problems = {page.name: page_problems(task, page, submitted.get(page.name, {})) for page in pages}
    if any(problems.values()):
        raise LabelError({name: found for name, found in problems.items() if found})
    id_of = dict(zip(letters_of(task), order, strict=True))
    fields: Entries = {}
    of_completions: dict[str, Entries] = {}
    groups, reason = _order_of(task, submitted)
    for page in pages:
        entries: Entries = {field.name: field.read(submitted.get(page.name, {})) for field in page.fields}
        if page.about == "completion":
            of_completions[id_of[page.name]] = entries
        else:
            fields |= entries
    ranking = tuple(tuple(id_of[letter] for letter in group) for group in groups)
    return Label(fields=fields, of_completions=of_completions, ranking=ranking, cannot_rank=reason)


def _order_of(task: Task, submitted: Mapping[str, Submitted]) -> tuple[Groups, str]:
    """The tie groups as letters, and the reason if there is no order."""
    if task.kind == "compare":
        preference = submitted["comparison"]["preference"]
        orders: dict[str, Groups] = {"A": (("A",), ("B",)), "B": (("B",), ("A",)), "tie": (("A", "B"),)}
        return orders[preference], ""
    if "ranking" in {page.name for page in pages_of(task)}:
        return read_ranking(letters_of(task), submitted["ranking"])
    return (), ""
