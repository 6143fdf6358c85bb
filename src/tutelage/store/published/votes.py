"""Two completions and a vote: PKU-SafeRLHF, HelpSteer 2 and 3, WebGPT, SHP, summaries, StackExchange pairs.

The columns are those of the dataset cards on the hub: PKU-Alignment/PKU-SafeRLHF, nvidia/HelpSteer2 (preference),
nvidia/HelpSteer3 (preference), openai/webgpt_comparisons, stanfordnlp/SHP, openai/summarize_from_feedback
(comparisons), lvwerra/stack-exchange-paired.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat

from tutelage.records import Message
from tutelage.store.forms import Row, UnusableRow
from tutelage.store.published.building import Asked, Found, Published, asked_dialogue, ranked
from tutelage.store.published.marked_text import helpsteer_prompt

FirstOrSecond = Annotated[int, Field(ge=0, le=1)]
# -3: the first response is much better; 0: about the same; 3: the second one is.
Strength = Annotated[int, Field(ge=-3, le=3)]


class SafeRlhf(BaseModel):
    """A row of PKU-SafeRLHF: which response is better, and which is safer."""

    prompt: str
    response_0: str
    response_1: str
    better_response_id: FirstOrSecond | None = None
    safer_response_id: FirstOrSecond | None = None


def _rank_safe(row: Row, judgement: str) -> Found:
    parsed = SafeRlhf.model_validate(row)
    preferred = {"better_response_id": parsed.better_response_id, "safer_response_id": parsed.safer_response_id}
    vote = preferred[judgement]
    if vote is None:
        raise UnusableRow(f"{judgement!r} is not there, so there is no comparison")
    return ranked(
        row,
        parsed.prompt,
        [parsed.response_0, parsed.response_1],
        [1 - vote, vote],
        used=("response_0", "response_1", "response_0_source", "response_1_source"),
        policies=[_text(row.get("response_0_source")), _text(row.get("response_1_source"))],
    )


class HelpSteer2Preference(BaseModel):
    """A row of HelpSteer2's preferences."""

    prompt: str
    response_1: str
    response_2: str
    preference_strength: Strength


def _rank_helpsteer2(row: Row, judgement: str) -> Found:
    parsed = HelpSteer2Preference.model_validate(row)
    # Its `split` is train or val, not one of ours.
    return ranked(
        row,
        helpsteer_prompt(parsed.prompt),
        [parsed.response_1, parsed.response_2],
        [-parsed.preference_strength, parsed.preference_strength],
        used=("response_1", "response_2"),
    )


class HelpSteer3Preference(BaseModel):
    """A row of HelpSteer3's preferences, except for its `context`, which is a list of turns."""

    response1: str
    response2: str
    overall_preference: Strength


def _ask_context(row: Row) -> Asked:
    return asked_dialogue("context", row.get("context"))


def _rank_helpsteer3(row: Row, judgement: str) -> Found:
    parsed = HelpSteer3Preference.model_validate(row)
    return ranked(
        row,
        _ask_context(row),
        [parsed.response1, parsed.response2],
        [-parsed.overall_preference, parsed.overall_preference],
        used=("response1", "response2"),
    )


class WebGptQuestion(BaseModel):
    """The question of a WebGPT comparison, with its dataset and its number there."""

    full_text: str


class WebGpt(BaseModel):
    """A WebGPT comparison; a score is how strongly an answer was preferred, -1 to 1."""

    question: WebGptQuestion
    answer_0: str
    answer_1: str
    score_0: FiniteFloat
    score_1: FiniteFloat


class _Question(BaseModel):
    question: WebGptQuestion


def _rank_webgpt(row: Row, judgement: str) -> Found:
    parsed = WebGpt.model_validate(row)
    used = [f"{key}_{number}" for key in ("answer", "tokens", "quotes") for number in (0, 1)]
    texts, scores = [parsed.answer_0, parsed.answer_1], [parsed.score_0, parsed.score_1]
    return ranked(row, parsed.question.full_text, texts, scores, used=used)


class Shp(BaseModel):
    """A row of SHP: a post, two comments, and which one its readers preferred (1 the first)."""

    history: str
    human_ref_A: str
    human_ref_B: str
    labels: FirstOrSecond
    score_A: FiniteFloat | None = None
    score_B: FiniteFloat | None = None


class _Post(BaseModel):
    history: str


def _rank_shp(row: Row, judgement: str) -> Found:
    parsed = Shp.model_validate(row)
    scores: list[float] = [parsed.labels, 1 - parsed.labels]
    if parsed.score_A is not None and parsed.score_B is not None:
        gap = parsed.score_A - parsed.score_B
        if gap * (scores[0] - scores[1]) < 0:
            raise UnusableRow("'score_A' and 'score_B' contradict 'labels'; which of them is right is not known")
        scores = [parsed.score_A, parsed.score_B]
    return ranked(
        row, parsed.history, [parsed.human_ref_A, parsed.human_ref_B], scores, used=("human_ref_A", "human_ref_B")
    )


class SummaryInfo(BaseModel):
    """What was to be summarized: a Reddit post, or an article of the news."""

    title: str | None = None
    subreddit: str | None = None
    post: str | None = None
    article: str | None = None


class Summary(BaseModel):
    """A summary and the policy that wrote it."""

    text: str
    policy: str | None = None


class SummaryComparison(BaseModel):
    """A comparison of two summaries; `choice` is the index of the better one."""

    info: SummaryInfo
    summaries: list[Summary] = Field(min_length=2, max_length=2)
    choice: FirstOrSecond
    worker: str | None = None


class _Info(BaseModel):
    info: SummaryInfo


def _ask_summary(row: Row) -> Asked:
    """The post or article as the paper's policies were given it (Stiennon et al. 2020)."""
    info = _Info.model_validate(row).info
    kind, text = ("POST", info.post) if (info.post or "").strip() else ("ARTICLE", info.article)
    if not (text or "").strip():
        raise UnusableRow("'info' has neither a post nor an article, so it is not known what was summarized")
    parts = [f"SUBREDDIT: r/{info.subreddit}" if info.subreddit else "", f"TITLE: {info.title}" if info.title else ""]
    return "\n\n".join([*filter(None, parts), f"{kind}: {text}", "TL;DR:"])


def _rank_summaries(row: Row, judgement: str) -> Found:
    parsed = SummaryComparison.model_validate(row)
    return ranked(
        row,
        _ask_summary(row),
        [summary.text.strip() for summary in parsed.summaries],
        [1 - parsed.choice, parsed.choice],
        used=("info", "summaries", "choice", "worker"),
        policies=[summary.policy for summary in parsed.summaries],
        labeler_id=parsed.worker,
    )


class StackExchangePair(BaseModel):
    """A question and two answers of which `response_j` was rated higher."""

    question: str
    response_j: str
    response_k: str


class _PlainQuestion(BaseModel):
    question: str


def _rank_stack_pair(row: Row, judgement: str) -> Found:
    parsed = StackExchangePair.model_validate(row)
    texts = [parsed.response_j, parsed.response_k]
    return ranked(row, parsed.question, texts, [1, 0], used=("response_j", "response_k"))


class _PlainPrompt(BaseModel):
    prompt: str


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _ask_marked_prompt(row: Row) -> str | tuple[Message, ...]:
    return helpsteer_prompt(_PlainPrompt.model_validate(row).prompt)


VOTES = (
    Published(
        name="PKU-SafeRLHF",
        needs=("prompt", "response_0", "response_1"),
        ask=lambda row: _PlainPrompt.model_validate(row).prompt,
        rank=_rank_safe,
        judgements=("better_response_id", "safer_response_id"),
        reads=("prompt",),
    ),
    Published(
        name="HelpSteer2 preference",
        needs=("prompt", "response_1", "response_2", "preference_strength"),
        ask=_ask_marked_prompt,
        rank=_rank_helpsteer2,
        judgements=("preference_strength",),
        reads=("prompt",),
    ),
    Published(
        name="HelpSteer3 preference",
        needs=("context", "response1", "response2", "overall_preference"),
        ask=_ask_context,
        rank=_rank_helpsteer3,
        judgements=("overall_preference",),
        reads=("context",),
    ),
    Published(
        name="WebGPT",
        needs=("question", "answer_0", "answer_1", "score_0", "score_1"),
        ask=lambda row: _Question.model_validate(row).question.full_text,
        rank=_rank_webgpt,
        judgements=("score",),
        reads=("question",),
    ),
    Published(
        name="SHP",
        needs=("history", "human_ref_A", "human_ref_B", "labels"),
        ask=lambda row: _Post.model_validate(row).history,
        rank=_rank_shp,
        judgements=("labels",),
        reads=("history",),
    ),
    Published(
        name="summarize_from_feedback",
        needs=("info", "summaries", "choice"),
        ask=_ask_summary,
        rank=_rank_summaries,
        judgements=("choice",),
    ),
    Published(
        name="StackExchange pair",
        needs=("question", "response_j", "response_k"),
        ask=lambda row: _PlainQuestion.model_validate(row).question,
        rank=_rank_stack_pair,
        judgements=("response_j",),
        reads=("question",),
    ),
)
