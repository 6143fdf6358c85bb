"""The screening test of the paper (appendix B.1): four scores, soft cutoffs, and a suggested verdict.

People decide: the paper chose its labelers by these scores and subjective judgment, on anonymized data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from tutelage.labeling.display import LETTERS
from tutelage.labeling.fields import Choice, Flag, Submitted, Text
from tutelage.labeling.fields import Field as FormField
from tutelage.labeling.labels import Problems, entry_problems
from tutelage.labeling.ranking import Groups, read_ranking
from tutelage.labeling.tasks import MAX_COMPLETIONS
from tutelage.records import Completion, NonEmpty, Record
from tutelage.statistics import Interval, bounded_mean, likert_mean, ranking_outcomes

Part = Literal["flagging", "ranking", "demonstration", "self-assessment"]
PARTS: tuple[Part, ...] = get_args(Part)
PART_TITLES: dict[Part, str] = {
    "flagging": "Is this sensitive?",
    "ranking": "Rank the completions",
    "demonstration": "Write a response to a sensitive prompt",
    "self-assessment": "What you are comfortable with",
}
Suggestion = Literal["accept", "look closer", "decline", "not complete"]
Decision = Literal["accepted", "declined"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
_SOURCE = "Ouyang et al. (2022), appendix B.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoff:
    """A soft cutoff: candidates below it are reviewed, not rejected."""

    title: str
    value: float
    source: str = _SOURCE


FLAGGING_CUTOFF = Cutoff(title="Agreement on flagging sensitive speech", value=0.75)
RANKING_CUTOFF = Cutoff(title="Agreement with researchers' rankings", value=0.75)
DEMONSTRATION_CUTOFF = Cutoff(title="Demonstrations, rated 1 to 7", value=6.0)

# The kinds of speech that the paper names; only "sensitive or not" is scored.
SENSITIVE_KINDS = (
    Flag(name="toxic", label="Toxic"),
    Flag(name="sexual", label="Sexual"),
    Flag(name="violent", label="Violent"),
    Flag(name="judgemental", label="Judgemental"),
    Flag(name="political", label="Political"),
    Flag(name="other", label="Other"),
)
TOPICS = (
    Flag(name="gender", label="Gender and sexuality"),
    Flag(name="race", label="Race and ethnicity"),
    Flag(name="religion", label="Religion and belief"),
    Flag(name="politics", label="Politics"),
    Flag(name="nationality", label="Nationality and migration"),
    Flag(name="disability", label="Disability and mental health"),
    Flag(name="age", label="Age"),
    Flag(name="violence", label="Violence and abuse"),
    Flag(name="sexual", label="Sexual content"),
    Flag(name="self_harm", label="Suicide and self-harm"),
)
_OF_PART: dict[Part, tuple[FormField, ...]] = {
    "flagging": (
        Choice(
            name="is_sensitive",
            label="Could this text evoke strong negative feelings?",
            options={"yes": "Yes, it is sensitive", "no": "No"},
        ),
        *SENSITIVE_KINDS,
    ),
    "ranking": (),
    "demonstration": (Text(name="response", label="Your response", is_required=True, num_rows=12),),
    "self-assessment": (
        *TOPICS,
        Text(name="other_topics", label="Other topics, languages or cultural groups", num_rows=3),
    ),
}
SELF_ASSESSMENT = "For what topics or cultural groups are you comfortable identifying sensitive speech?"


class ScreeningTask(Record):
    """One task of the test, with the researchers' own judgment if the candidate's is compared with it.

    flagging: `text` (and the `prompt` it was written for), and whether it `is_sensitive`. ranking: `prompt`,
    `completions` and the researchers' `ranking`. demonstration: `prompt`. self-assessment: `prompt` is the question.
    """

    part: Part
    prompt: str = ""
    text: str = ""
    is_sensitive: bool | None = None
    completions: tuple[Completion, ...] = Field(default=(), max_length=MAX_COMPLETIONS)
    ranking: tuple[tuple[NonEmpty, ...], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.part == "flagging" and (not self.text.strip() or self.is_sensitive is None):
            raise ValueError("a task of part 'flagging' needs 'text' and 'is_sensitive'")
        if self.part != "flagging" and not self.prompt.strip():
            raise ValueError(f"a task of part {self.part!r} needs a 'prompt'")
        ids = sorted(completion.id for completion in self.completions)
        if self.part == "ranking" and (len(ids) < 2 or len(set(ids)) != len(ids)):
            raise ValueError("a task of part 'ranking' needs two to nine 'completions' with unique ids")
        if sorted(identity for group in self.ranking for identity in group) != ids:
            raise ValueError("'ranking' must name every completion of the task once, and nothing else")
        return self

    @property
    def letters(self) -> tuple[str, ...]:
        return LETTERS[: len(self.completions)]


def screening_fields(task: ScreeningTask) -> tuple[FormField, ...]:
    """The fields a candidate fills in, besides the ranks of a ranking."""
    return _OF_PART[task.part]


def screening_problems(task: ScreeningTask, submitted: Submitted) -> Problems:
    """What is missing or wrong in the entries; empty if they are complete."""
    to_rank = task.letters if task.part == "ranking" else None
    return entry_problems(screening_fields(task), submitted, to_rank=to_rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A candidate's entries in one task, in their own order of completions; `ratings` are the researchers', 1 to 7."""

    task: ScreeningTask
    submitted: Submitted
    order: tuple[str, ...] = ()
    ratings: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningScores:
    """The four scores; None if there is nothing to score yet. Intervals are clustered by task."""

    flagging: Interval | None
    ranking: Interval | None
    demonstration: Interval | None
    topics: tuple[str, ...]
    other_topics: str = ""


def screening_scores(responses: Sequence[Response]) -> ScreeningScores:
    """Score complete responses: agreement with the researchers, their ratings, and the self-assessment."""
    of_part: dict[Part, list[Response]] = {part: [] for part in PARTS}
    for response in responses:
        if not screening_problems(response.task, response.submitted):
            of_part[response.task.part].append(response)
    flags = [(response.submitted["is_sensitive"] == "yes") == response.task.is_sensitive
             for response in of_part["flagging"]]  # fmt: skip
    pairs = [(is_same, place) for place, response in enumerate(of_part["ranking"]) for is_same in _pairs(response)]
    rated = [fmean(response.ratings) for response in of_part["demonstration"] if response.ratings]
    about = of_part["self-assessment"][-1].submitted if of_part["self-assessment"] else {}
    return ScreeningScores(
        flagging=bounded_mean([float(flag) for flag in flags], range(len(flags))) if flags else None,
        ranking=bounded_mean([is_same for is_same, _ in pairs], [place for _, place in pairs]) if pairs else None,
        demonstration=likert_mean(rated, range(len(rated))) if rated else None,
        topics=tuple(topic.label for topic in TOPICS if topic.read(about)),
        other_topics=about.get("other_topics", ""),
    )


def _pairs(response: Response) -> list[float]:
    """For each pair of completions 1 if the candidate ordered it as the researchers did (a tie is an order), else 0."""
    id_of = dict(zip(response.task.letters, response.order, strict=True))
    groups, _ = read_ranking(response.task.letters, response.submitted)
    own: Groups = tuple(tuple(id_of[letter] for letter in group) for group in groups)
    said = ranking_outcomes(own)
    return [float(said.get(pair) == outcome) for pair, outcome in ranking_outcomes(response.task.ranking).items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoffStanding:
    """One score and its cutoff. `is_near`: below it, but within the score's own interval."""

    cutoff: Cutoff
    score: Interval | None

    @property
    def is_met(self) -> bool:
        return self.score is not None and self.score.mean >= self.cutoff.value

    @property
    def is_near(self) -> bool:
        return self.score is not None and not self.is_met and self.score.high >= self.cutoff.value


def standings(scores: ScreeningScores) -> tuple[CutoffStanding, ...]:
    """The three scores that have a cutoff; the paper gives none for the self-assessment."""
    return (
        CutoffStanding(cutoff=FLAGGING_CUTOFF, score=scores.flagging),
        CutoffStanding(cutoff=RANKING_CUTOFF, score=scores.ranking),
        CutoffStanding(cutoff=DEMONSTRATION_CUTOFF, score=scores.demonstration),
    )


def suggested(scores: ScreeningScores) -> Suggestion:
    """What the scores alone suggest: all cutoffs met, missed within the margin of error, or missed clearly."""
    found = standings(scores)
    if any(standing.score is None for standing in found):
        return "not complete"
    if all(standing.is_met for standing in found):
        return "accept"
    return "look closer" if all(standing.is_met or standing.is_near for standing in found) else "decline"
