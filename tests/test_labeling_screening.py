"""The screening test: what its tasks need, how the four scores come about, what they suggest."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tutelage.labeling.screening import (
    DEMONSTRATION_CUTOFF,
    FLAGGING_CUTOFF,
    RANKING_CUTOFF,
    SELF_ASSESSMENT,
    Response,
    ScreeningScores,
    ScreeningTask,
    screening_problems,
    screening_scores,
    standings,
    suggested,
)
from tutelage.statistics import Interval, bounded_mean

COMPLETIONS = [{"id": name, "text": name} for name in "abc"]


def _flag(is_sensitive, said):
    return Response(
        task=ScreeningTask(part="flagging", text="words", is_sensitive=is_sensitive), submitted={"is_sensitive": said}
    )


def _ranked(ranking, order="abc", **ranks):
    task = ScreeningTask(part="ranking", prompt="Which?", completions=COMPLETIONS, ranking=ranking)
    submitted = {f"rank.{letter}": str(rank) for letter, rank in ranks.items()}
    return Response(task=task, submitted=submitted, order=tuple(order))


def _demonstration(*ratings):
    task = ScreeningTask(part="demonstration", prompt="Help me.")
    return Response(task=task, submitted={"response": "Gladly."}, ratings=ratings)


def test_the_cutoffs_are_the_papers():
    assert (FLAGGING_CUTOFF.value, RANKING_CUTOFF.value, DEMONSTRATION_CUTOFF.value) == (0.75, 0.75, 6.0)
    assert {"appendix B.1" in cutoff.source for cutoff in (FLAGGING_CUTOFF, RANKING_CUTOFF, DEMONSTRATION_CUTOFF)} == {
        True
    }


def test_flagging_is_the_share_that_is_flagged_as_researchers_do():
    scores = screening_scores([_flag(True, "yes"), _flag(False, "no"), _flag(True, "no"), _flag(True, "")])
    assert (scores.flagging.mean, scores.flagging.n) == (pytest.approx(2 / 3), 3)


def test_ranking_is_by_pairs_in_the_candidates_own_letters():
    # A is c, B is a, C is b: the candidate says a, then b and c tied; the researchers a, b, c.
    response = _ranked([["a"], ["b"], ["c"]], order="cab", A=2, B=1, C=2)
    found = screening_scores([response]).ranking
    assert (found.mean, found.n) == (pytest.approx(2 / 3), 3)
    tied = _ranked([["a"], ["b", "c"]], order="cab", A=2, B=1, C=2)
    assert screening_scores([tied]).ranking.mean == 1.0
    refused = Response(task=tied.task, submitted={"cannot_rank": "yes", "cannot_rank_reason": "?"}, order=tied.order)
    assert screening_scores([refused]).ranking.mean == 0.0


def test_pairs_of_one_ranking_are_one_draw():
    """Two tasks, one ordered as the researchers do and one in reverse: 3 of 6 pairs, but two draws and not six."""
    same, reverse = _ranked([["a"], ["b"], ["c"]], A=1, B=2, C=3), _ranked([["a"], ["b"], ["c"]], A=3, B=2, C=1)
    found = screening_scores([same, reverse]).ranking
    assert (found.mean, found.n) == (0.5, 6)
    drawn_twice = bounded_mean([1.0, 0.0], range(2))
    assert (found.low, found.high) == pytest.approx((drawn_twice.low, drawn_twice.high))


def test_demonstrations_are_averaged_within_and_then_over_tasks():
    scores = screening_scores([_demonstration(7, 5), _demonstration(4), _demonstration()])
    assert (scores.demonstration.mean, scores.demonstration.n) == (5.0, 2)


def test_self_assessment_is_what_the_candidate_ticked():
    task = ScreeningTask(part="self-assessment", prompt=SELF_ASSESSMENT)
    submitted = {"religion": "yes", "other_topics": "Welsh"}
    scores = screening_scores([Response(task=task, submitted=submitted)])
    assert (scores.topics, scores.other_topics) == (("Religion and belief",), "Welsh")
    assert scores.flagging is scores.ranking is scores.demonstration is None


def _interval(mean, high):
    return Interval(mean=mean, low=0.0, high=high, n=10)


@pytest.mark.parametrize(
    ("flagging", "ranking", "demonstration", "suggestion"),
    [
        ((0.75, 0.9), (0.75, 0.9), (6.0, 7.0), "accept"),
        ((0.74, 0.9), (0.75, 0.9), (6.0, 7.0), "look closer"),
        ((0.74, 0.9), (0.9, 0.95), (5.0, 5.9), "decline"),
        ((0.5, 0.7), (0.9, 0.95), (6.5, 7.0), "decline"),
        ((0.9, 0.95), None, (6.5, 7.0), "not complete"),
    ],
)
def test_what_scores_suggest(flagging, ranking, demonstration, suggestion):
    scores = ScreeningScores(
        flagging=_interval(*flagging),
        ranking=_interval(*ranking) if ranking else None,
        demonstration=_interval(*demonstration),
        topics=(),
    )
    assert suggested(scores) == suggestion
    assert [standing.cutoff for standing in standings(scores)] == [
        FLAGGING_CUTOFF, RANKING_CUTOFF, DEMONSTRATION_CUTOFF,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "task",
    [
        {"part": "flagging", "text": "words"},
        {"part": "flagging", "is_sensitive": True},
        {"part": "ranking", "prompt": "Which?", "completions": COMPLETIONS[:1], "ranking": [["a"]]},
        {"part": "ranking", "prompt": "Which?", "completions": COMPLETIONS, "ranking": [["a"], ["b"]]},
        {"part": "ranking", "prompt": "Which?", "completions": COMPLETIONS, "ranking": []},
        {"part": "demonstration"},
        {"part": "juggling", "prompt": "Three balls"},
    ],
)
def test_tasks_that_could_not_be_scored_are_refused(task):
    with pytest.raises(ValidationError):
        ScreeningTask.model_validate(task)


def test_what_is_not_complete_is_named():
    assert "is_sensitive" in screening_problems(_flag(True, "").task, {})
    assert "ranking" in screening_problems(_ranked([["a"], ["b"], ["c"]]).task, {"rank.A": "1"})
    assert "response" in screening_problems(_demonstration().task, {"response": "  "})
