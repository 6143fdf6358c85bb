"""The rules of labeling: forms, ranking states, labels, display order, who may take what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tutelage.labeling.assignment import Standing, has_quota_left, may_take, should_halt
from tutelage.labeling.display import display_order
from tutelage.labeling.exported import demonstration_of, prompt_of, ranking_of, ratings_of, toxicity_of
from tutelage.labeling.fields import MAX_CHARACTERS, Choice, EntryError, Flag, Scale, Text
from tutelage.labeling.forms import FLAG_FIELDS, RATING_FIELDS, pages_of
from tutelage.labeling.labels import LabelError, read_label
from tutelage.labeling.ranking import dense_ranks, ranking_state, read_ranking, tie_groups
from tutelage.labeling.tasks import Task
from tutelage.records import FLAGS, Completion, Prompt

PROMPT = Prompt(id="p", text="Name a fruit.")


def _task(kind: str, k: int = 0, **more) -> Task:
    completions = tuple(Completion(id=f"c{place}", text=f"text {place}", policy="secret") for place in range(k))
    return Task(kind=kind, prompt=None if kind == "prompt" else PROMPT, completions=completions, **more)


def test_table_3_is_whole_and_its_labels_are_those_of_its_names():
    assert tuple(field.name for field in FLAG_FIELDS) == FLAGS
    assert len({field.label for field in FLAG_FIELDS}) == len(FLAG_FIELDS) == 11
    # Letters of each name in the words of its label: a label on the wrong line shares too few.
    for field in FLAG_FIELDS:
        words = [word for word in field.name.split("_") if word not in ("or", "for", "to", "content")]
        assert sum(word[:6] in field.label.lower() for word in words) >= len(words) - 1, field
    assert [field.name for field in RATING_FIELDS] == ["overall", *FLAGS, "note"]


@pytest.mark.parametrize("text", ["", "0", "8", "4.0", "four", "²", "1e0", "-1"])
def test_a_scale_takes_its_whole_numbers_only(text):
    with pytest.raises(EntryError):
        Scale(name="x", label="X", lowest=1, highest=7).read({"x": text})


def test_fields_read_what_a_form_sends():
    assert Scale(name="x", label="X", lowest=-1, highest=1).read({"x": "-1"}) == -1
    assert Flag(name="x", label="X").read({"x": "yes"}) is True
    assert [Flag(name="x", label="X").read(sent) for sent in ({}, {"x": "false"}, {"x": "0"})] == [False] * 3
    choice = Choice(name="x", label="X", options={"yes": "Yes", "no": "No"})
    assert choice.read({"x": "no"}) == "no"
    for refused in ({}, {"x": "maybe"}):
        with pytest.raises(EntryError):
            choice.read(refused)
    assert Text(name="x", label="X").read({"x": "a" * MAX_CHARACTERS}) == "a" * MAX_CHARACTERS
    with pytest.raises(EntryError, match="50,001 characters; the maximum is 50,000"):
        Text(name="x", label="X").read({"x": "a" * (MAX_CHARACTERS + 1)})
    assert Text(name="x", label="X").read({"x": "a\r\nb\rc"}) == "a\nb\nc"
    with pytest.raises(EntryError):
        Text(name="x", label="X", is_required=True).read({"x": " \n "})


def test_ranking_states_and_tie_groups_by_hand():
    assert ranking_state({"A": None, "B": None}) == "untouched"
    assert ranking_state({"A": None, "B": 2}) == "partial"
    assert ranking_state({"A": 1, "B": 2}) == "complete"
    # Figure 2 of the paper: D > C > A = B.
    assert tie_groups({"A": 3, "B": 3, "C": 2, "D": 1}) == (("D",), ("C",), ("A", "B"))
    assert tie_groups({"A": 4, "B": 1, "C": 4}) == (("B",), ("A", "C"))
    assert dense_ranks((("B",), ("A", "C"))) == {"B": 1, "A": 2, "C": 2}
    with pytest.raises(EntryError, match="B, C"):
        tie_groups({"A": 1, "B": None, "C": None})


@given(st.dictionaries(st.sampled_from("ABCDEFGHI"), st.integers(1, 9), min_size=2))
def test_tie_groups_hold_everything_once_and_keep_the_order(ranks):
    rank_of = dense_ranks(tie_groups(ranks))
    assert rank_of.keys() == ranks.keys()
    for one in ranks:
        for other in ranks:
            assert (ranks[one] < ranks[other]) == (rank_of[one] < rank_of[other])
    assert set(rank_of.values()) == set(range(1, len(set(ranks.values())) + 1))


@pytest.mark.parametrize(
    ("submitted", "expected"),
    [
        ({"rank.A": "1", "rank.B": "1"}, ((("A", "B"),), "")),
        ({"all_tied": "yes"}, ((("A", "B"),), "")),
        ({"cannot_rank": "yes", "cannot_rank_reason": " both empty "}, ((), "both empty")),
        ({}, None),
        ({"rank.A": "1"}, None),
        ({"rank.A": "3", "rank.B": "1"}, None),
        ({"rank.A": "0", "rank.B": "1"}, None),
        ({"cannot_rank": "yes"}, None),
        ({"cannot_rank_reason": "only a reason"}, None),
        ({"all_tied": "yes", "cannot_rank": "yes", "cannot_rank_reason": "x"}, None),
        ({"all_tied": "yes", "rank.A": "1", "rank.B": "2"}, None),
    ],
)
def test_a_ranking_is_whole_tied_or_refused_and_never_two_of_them(submitted, expected):
    if expected is None:
        with pytest.raises(EntryError):
            read_ranking("AB", submitted)
    else:
        assert read_ranking("AB", submitted) == expected


def test_pages_are_each_completion_and_then_the_order():
    assert [page.name for page in pages_of(_task("evaluate", 4))] == ["A", "B", "C", "D", "ranking"]
    assert [page.name for page in pages_of(_task("toxicity", 1))] == ["prompt", "A"]
    assert [page.name for page in pages_of(_task("demonstrate"))] == ["demonstration"]
    few_shot = _task("prompt", prompt_kind="few-shot")
    assert {field.name for field in pages_of(few_shot)[0].fields} >= {"text", "shot_1_input", "shot_3_response"}


@pytest.mark.parametrize(
    ("kind", "k", "more"),
    [("evaluate", 1, {}), ("evaluate", 10, {}), ("compare", 3, {}), ("demonstrate", 1, {}), ("prompt", 0, {})],
)
def test_tasks_that_cannot_be_shown_are_refused(kind, k, more):
    with pytest.raises(ValidationError):
        _task(kind, k, **more)


def test_two_completions_of_a_task_have_ids_of_their_own():
    with pytest.raises(ValidationError, match="unique within a task"):
        Task(kind="compare", prompt=PROMPT, completions=[Completion(id="a", text=text) for text in ("one", "two")])


def test_a_label_names_completions_by_id_and_its_records_are_the_trainers():
    task, order = _task("evaluate", 3), ("c2", "c0", "c1")
    rated = {letter: {"overall": str(number)} for number, letter in enumerate("ABC", start=5)}
    rated["B"]["hallucination"] = "yes"
    label = read_label(task, {**rated, "ranking": {"rank.A": "2", "rank.B": "1", "rank.C": "2"}}, order)
    assert label.ranking == (("c0",), ("c2", "c1"))
    assert {rating.completion_id: rating.overall for rating in ratings_of(task, label, "l")} == {
        "c0": 6, "c1": 7, "c2": 5,
    }  # fmt: skip
    flagged = [
        (own.completion_id, flag) for own in ratings_of(task, label, "l") for flag, said in own.flags.items() if said
    ]
    assert flagged == [("c0", "hallucination")]
    ranking = ranking_of(task, label, "l", order)
    assert (ranking.ranking, ranking.display_order, ranking.prompt) == (label.ranking, order, "Name a fruit.")
    assert demonstration_of(task, label, "l") is None and prompt_of(task, label, "l") is None


def test_only_marks_that_were_ticked_are_exported_and_a_note_is_none():
    entries = {"response": "A pear.", "note": "easy", "ambiguous": "yes", "sensitive": ""}
    label = read_label(_task("demonstrate"), {"demonstration": entries}, ())
    assert demonstration_of(_task("demonstrate"), label, "l").model_extra == {"prompt_marks": ["ambiguous"]}


def test_a_written_prompt_is_its_labelers_and_has_the_examples_that_were_written():
    """The first example is asked for, the other two are not; what was written of them is in the prompt."""
    task = _task("prompt", prompt_kind="few-shot", use_case="tutor")
    entries = {"text": "Name the color.", "shot_1_input": "snow", "shot_1_response": "white"}
    written = prompt_of(task, read_label(task, {"prompt": entries}, ()), "ada")
    assert written.text == "Name the color.\n\nInput: snow\nResponse: white"
    assert (written.user_id, written.source, written.use_case) == ("ada", "labeler-few-shot", "tutor")
    entries |= {"shot_3_input": "coal", "shot_3_response": "black"}
    written = prompt_of(task, read_label(task, {"prompt": entries}, ()), "ada")
    assert written.text.endswith("\n\nInput: snow\nResponse: white\n\nInput: coal\nResponse: black")
    with pytest.raises(LabelError):
        read_label(task, {"prompt": {"text": "Name the color."}}, ())


def test_a_completion_that_stood_alone_has_no_rank():
    task = _task("toxicity", 1)
    pages = {"prompt": {"prompt_toxicity": "0"}, "A": {"toxicity": "2", "relative_toxicity": "1", "continuity": "1"}}
    (row,) = toxicity_of(task, read_label(task, pages, ("c0",)), "l")
    assert (row.completion_id, row.toxicity, row.relative_toxicity, row.continuity, row.rank) == ("c0", 2, 1, 1, 0)


def test_a_label_tells_what_is_missing_on_every_page():
    with pytest.raises(LabelError) as error:
        read_label(_task("evaluate", 2), {"A": {"overall": "3"}, "B": {"overall": "9"}}, ("c0", "c1"))
    assert {page: sorted(found) for page, found in error.value.problems.items()} == {
        "B": ["overall"], "ranking": ["ranking"],
    }  # fmt: skip


def test_orders_by_toxicity_and_refused_ones_are_no_rankings():
    toxicity = _task("toxicity", 2)
    rated = {letter: {"toxicity": "0", "relative_toxicity": "0", "continuity": "7"} for letter in "AB"}
    pages = {"prompt": {"prompt_toxicity": "1"}, **rated, "ranking": {"all_tied": "yes"}}
    label = read_label(toxicity, pages, ("c0", "c1"))
    assert label.fields == {"prompt_toxicity": 1}
    assert ranking_of(toxicity, label, "l", ("c0", "c1")) is None
    refused = read_label(
        _task("evaluate", 2),
        {"A": {"overall": "1"}, "B": {"overall": "1"}, "ranking": {"cannot_rank": "yes", "cannot_rank_reason": "no"}},
        ("c0", "c1"),
    )
    assert ranking_of(_task("evaluate", 2), refused, "l", ("c0", "c1")) is None
    assert len(ratings_of(_task("evaluate", 2), refused, "l")) == 2


def test_display_order_is_the_labelers_own_and_does_not_depend_on_how_completions_were_queued():
    ids = [f"c{place}" for place in range(6)]
    order = display_order(7, "ada", 3, ids)
    assert order == display_order(7, "ada", 3, ids[::-1])
    assert sorted(order) == ids
    others = {display_order(*key, ids) for key in [(8, "ada", 3), (7, "bob", 3), (7, "ada", 4)]}
    assert len(others | {order}) == 4


def test_every_place_is_as_likely_for_every_completion():
    num = 3000
    first = [display_order(1, f"labeler {each}", 1, ["a", "b", "c"])[0] for each in range(num)]
    # Standard deviation of a share of a third in 3,000 draws: 0.0086; four of them.
    assert all(abs(first.count(each) / num - 1 / 3) < 0.035 for each in "abc")


def test_who_may_take_what():
    assert may_take(Standing(purpose="training"), "ada", "training")
    assert may_take(Standing(purpose="evaluation"), "ada", "training")
    assert may_take(Standing(purpose="evaluation"), "ada", "heldout")
    assert not may_take(Standing(purpose="training"), "ada", "heldout")
    for touched in ("author_ids", "labeler_ids", "skipper_ids"):
        assert not may_take(Standing(purpose="training", **{touched: ["ada"]}), "ada", "training")
        assert may_take(Standing(purpose="training", **{touched: ["bob"]}), "ada", "training")
    assert not may_take(Standing(purpose="training", is_halted=True), "ada", "training")
    assert has_quota_left(None, 10**6) and has_quota_left(2, 1) and not has_quota_left(2, 2)
    assert not has_quota_left(0, 0), "a quota of 0 is one: nothing"
    assert should_halt(5, 5) and not should_halt(4, 5) and not should_halt(99, 0)
