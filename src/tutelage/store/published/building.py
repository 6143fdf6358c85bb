"""Common to all published preference datasets: a prompt, completions, and a number for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.records import Completion, Message, Prompt, Ranking
from tutelage.store.annotated import tie_groups
from tutelage.store.forms import Form, Row, UnusableRow, UnusedPart, extra_keys, has_keys, identities, prompt_turns
from tutelage.store.turns import plain_dialogue

Asked = str | tuple[Message, ...]
Found = Sequence[Ranking | UnusedPart]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published format: required keys, its prompt, its rankings, and the keys of `PROMPT_KEYS` that it reads.

    `judgements`: the columns that may rank its completions, the default first; `rank` uses one of them. Both functions
    raise `UnusableRow` or pydantic's `ValidationError`, nothing else.
    """

    name: str
    needs: tuple[str, ...]
    ask: Callable[[Row], Asked]
    rank: Callable[[Row, str], Found]
    judgements: tuple[str, ...]
    matches: Callable[[Row], bool] | None = None
    reads: tuple[str, ...] = ()

    def ranking_form(self) -> Form[Ranking]:
        """The format of its rankings."""
        return Form(
            name=self.name,
            keys=f"{' + '.join(self.needs)} ({self.name})",
            matches=self.matches or has_keys(*self.needs),
            convert=lambda row: self.rank(row, self.judgements[0]),
            convert_by=self.rank_by,
            needs=self.needs,
            reads=self.reads,
        )

    def rank_by(self, row: Row, judgement: str) -> Found:
        """The rankings by another column. Raises `UnusableRow` for one that does not rank here."""
        if judgement not in self.judgements:
            known = ", ".join(map(repr, self.judgements))
            raise UnusableRow(f"{judgement!r} does not rank rows in the format {self.name}; columns that do: {known}")
        return self.rank(row, judgement)

    def prompt_form(self) -> Form[Prompt]:
        """The format of its prompts, whatever the judgments of the completions."""
        return Form(
            name=self.name,
            keys=f"{' + '.join(self.needs)} ({self.name})",
            matches=self.matches or has_keys(*self.needs),
            convert=lambda row: [_prompt(row, self.ask(row))],
            needs=self.needs,
            reads=self.reads,
        )


def _prompt(row: Row, asked: Asked) -> Prompt:
    content = {"text": asked} if isinstance(asked, str) else {"messages": asked}
    return Prompt.model_validate(content | identities(row, Prompt))


def ranked(
    row: Row,
    asked: Asked,
    texts: Sequence[str],
    scores: Sequence[float | None],
    *,
    used: Sequence[str],
    policies: Sequence[str | None] = (),
    **kept: Any,
) -> list[Ranking | UnusedPart]:
    """One ranking of `texts` by their `scores`, the higher the better; equal scores tie.

    Completions without a score are skipped, and so are those whose text has several scores; of a repeated text with the
    same score, the first is kept. `used` are the keys of `row` that are not kept with the ranking. Raises `UnusableRow`
    if fewer than two are left.
    """
    given = {text: {score for other, score in zip(texts, scores, strict=True) if other == text} for text in texts}
    left: dict[int, float] = {}
    lost: list[UnusedPart] = []
    for place, (text, score) in enumerate(zip(texts, scores, strict=True)):
        if score is None:
            lost.append(UnusedPart(f"completion {place + 1} was not judged"))
        elif len(given[text]) > 1:
            lost.append(UnusedPart(f"completion {place + 1} is repeated with a different judgment"))
        elif text in texts[:place]:
            lost.append(UnusedPart(f"completion {place + 1} repeats an earlier one"))
        else:
            left[place] = score
    if len(left) < 2:
        what = lost[0].reason if lost else f"there are {len(texts)} completions"
        raise UnusableRow(f"{what}, so there is no comparison")
    ids = {place: f"c{place + 1}" for place in left}
    named = [*policies, *[None] * len(texts)]
    completions = [Completion(id=ids[place], text=texts[place], policy=named[place]) for place in left]
    content = {"prompt": asked} if isinstance(asked, str) else {"messages": asked}
    fields = extra_keys(row, Ranking, used=used) | {key: value for key, value in kept.items() if value is not None}
    ranking = tie_groups(list(ids.values()), list(left.values()))
    return [Ranking.model_validate({**fields, **content, "completions": completions, "ranking": ranking}), *lost]


def dialogue(key: str, value: Any) -> tuple[Message, ...]:
    """A list of turns under `key` as messages. Raises like `plain_dialogue`, and for values that are not turns."""
    if not isinstance(value, list):
        raise UnusableRow(f"{key!r} is not a list of turns")
    return tuple(Message.model_validate(turn) for turn in plain_dialogue(key, value))


def asked_dialogue(key: str, value: Any) -> tuple[Message, ...]:
    """A dialogue that ends with the user. Raises `UnusableRow` if it does not."""
    messages = dialogue(key, value)
    if not messages or messages[-1].role != "user":
        raise UnusableRow(f"{key!r} does not end with a turn of the user, so it is not known what was asked")
    return prompt_turns(messages)
