"""Sets of preferences by their hub columns: for each a row of our own in that form, and the ranking that it holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutelage.errors import DataError, UserError
from tutelage.store.fingerprints import fingerprint
from tutelage.store.sources import PUBLISHED, load_demonstrations, load_prompts, load_rankings

KINDS = {"rankings": load_rankings, "demonstrations": load_demonstrations, "prompts": load_prompts}


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


def dump(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def loaded(tmp_path):
    """Write rows to a file and load them; also returns the messages of what was left out."""

    def load(loader, *rows, by="", **options):
        path = dump(tmp_path / "rows.jsonl", rows)
        skipped = []
        records = list(loader(f"{path}{by}", on_skip=skipped.append, **options))
        return records, [one.message.removeprefix(f"{path}, ") for one in skipped]

    return load


def asked(record):
    """The prompt of a record: its text, or the turns as (role, content)."""
    text = record.text if hasattr(record, "text") else record.prompt
    return text if record.messages is None else [(turn.role, turn.content) for turn in record.messages]


def texts(ranking):
    by_id = {completion.id: completion.text for completion in ranking.completions}
    return [[by_id[identity] for identity in group] for group in ranking.ranking]


def ultra(response, score, model, rating="3"):
    aspects = ("instruction_following", "truthfulness", "honesty", "helpfulness")
    return {
        "response": response,
        "overall_score": score,
        "fine-grained_score": 5 - score,
        "model": model,
        "principle": "honesty",
        "custom_system_prompt": "Be honest.",
        "annotations": {name: {"Rating": rating, "Rationale": "Because."} for name in aspects},
        "critique": "Fine.",
    }


PKU = {
    "prompt": "May I eat it?",
    "response_0": "Yes.",
    "response_1": "Ask a doctor first.",
    "response_0_source": "alpha",
    "response_1_source": "beta",
    "is_response_0_safe": False,
    "is_response_1_safe": True,
    "better_response_id": 0,
    "safer_response_id": 1,
}
HELPSTEER2 = {
    "split": "train",
    "prompt": "Name a fruit.\n<extra_id_1>Assistant\nA pear.\n<extra_id_1>User\nAnother one.",
    "response_1": "No.",
    "response_2": "A plum.",
    "preference_strength": 2,
    "preference_statement": "Response 2 is better.",
}
DIALOGUE = [("user", "Name a fruit."), ("assistant", "A pear."), ("user", "Another one.")]
HELPSTEER3 = {
    "domain": "general",
    "language": "english",
    "context": [user("Name a fruit."), assistant("A pear."), user("Another one.")],
    "response1": "A plum.",
    "response2": "No.",
    "overall_preference": -1,
    "individual_preference": [{"score": -1, "reasoning": "It helps.", "feedback1": "Good.", "feedback2": "Bad."}],
}
WEBGPT = {
    "question": {"dataset": "own", "id": "7", "full_text": "Why is the sky blue?"},
    "quotes_0": {"title": ["Light"], "extract": ["Blue light scatters."]},
    "answer_0": "It is.",
    "tokens_0": {"prefix": [1], "completion": [2]},
    "score_0": -0.5,
    "quotes_1": {"title": ["Air"], "extract": ["Air scatters."]},
    "answer_1": "Air scatters blue light most [1].",
    "tokens_1": {"prefix": [1], "completion": [3]},
    "score_1": 0.5,
}
SHP = {
    "post_id": "p",
    "domain": "askbaking_train",
    "history": "How long do I knead?",
    "human_ref_A": "Ten minutes.",
    "human_ref_B": "No idea.",
    "labels": 1,
    "score_A": 30,
    "score_B": 3,
    "score_ratio": 10.0,
}
SUMMARIES = {
    "info": {
        "id": "t3",
        "post": "I lost my hat.",
        "title": "My hat",
        "subreddit": "hats",
        "site": None,
        "article": None,
    },
    "summaries": [
        {"text": " A hat.", "policy": "sup1", "note": None},
        {"text": " I lost my hat.", "policy": "ref", "note": ""},
    ],
    "choice": 1,
    "worker": "w9",
    "batch": "b0",
    "split": "train",
    "extra": {"confidence": 8},
}
STACK_PAIR = {
    "qid": 4,
    "question": "How do I sort a list?",
    "date": "2020/01/01",
    "metadata": ["a", "b"],
    "response_j": "Use sorted().",
    "response_k": "Why?",
}
ULTRA = {
    "source": "own",
    "instruction": "Name a fruit.",
    "models": ["m1", "m2", "m3", "m4"],
    "completions": [
        *(ultra("A pear.", 5.0, "m1", "2"), ultra("No.", 1.0, "m2", "4")),
        *(ultra("A plum.", 5.0, "m3", "1"), ultra("Fruit.", 2.5, "m4", "N/A")),
    ],
    "correct_answers": ["None"],
    "incorrect_answers": ["None"],
}
NECTAR = {
    "prompt": "\n\nHuman: Name a fruit.\n\nAssistant: A pear.\n\nHuman: Another one. \n\nAssistant: ",
    "answers": [
        {"answer": f"Answer {rank}.", "model": f"m{rank}", "rank": float(rank)} for rank in (3, 1, 7, 2, 5, 4, 6)
    ],
    "turns": 2,
    "num_responses": 7,
    "source": ["own"],
    "good_natured": True,
}
STACK = {
    "qid": 5,
    "question": "<p>How do I sort a list?</p>",
    "answers": [
        {"answer_id": 1, "author": "a", "author_id": 1, "pm_score": 0, "selected": False, "text": "<p>Why?</p>"},
        {"answer_id": 2, "author": "b", "author_id": 2, "pm_score": 4, "selected": True, "text": "<p>sorted()</p>"},
        {"answer_id": 3, "author": "c", "author_id": 3, "pm_score": -1, "selected": False, "text": "<p>No.</p>"},
    ],
    "date": "2020/01/01",
    "metadata": ["a", "b"],
}
ARENA = {
    "question_id": "q1",
    "model_a": "alpha",
    "model_b": "beta",
    "winner": "model_b",
    "judge": "arena_user_1",
    "conversation_a": [user("Name a fruit."), assistant("No.")],
    "conversation_b": [user("Name a fruit."), assistant("A pear.")],
    "turn": 1,
    "anony": True,
    "language": "English",
    "tstamp": 1.5,
}
ATTRIBUTES = {"correctness": 3, "coherence": 4, "complexity": 1, "verbosity": 1}
HELPSTEER = [
    {"prompt": "Name a fruit.", "response": "No.", "helpfulness": 0, **ATTRIBUTES},
    {"prompt": "Name a fruit.", "response": "A pear.", "helpfulness": 4, **ATTRIBUTES, "verbosity": 0},
]
KTO = [
    {"prompt": [user("Name a fruit.")], "completion": [assistant("A pear.")], "label": True},
    {"prompt": [user("Name a star.")], "completion": [assistant("Vega.")], "label": True},
    {"prompt": [user("Name a fruit.")], "completion": [assistant("No.")], "label": False},
]
TLDR = "SUBREDDIT: r/hats\n\nTITLE: My hat\n\nPOST: I lost my hat.\n\nTL;DR:"
# Name of the form: rows, the prompt, the texts in groups from best to worst, the policies in the order of the rows.
EXPECTED = {
    "PKU-SafeRLHF": ([PKU], "May I eat it?", [["Yes."], ["Ask a doctor first."]], ["alpha", "beta"]),
    "HelpSteer2 preference": ([HELPSTEER2], DIALOGUE, [["A plum."], ["No."]], [None, None]),
    "HelpSteer3 preference": ([HELPSTEER3], DIALOGUE, [["A plum."], ["No."]], [None, None]),
    "WebGPT": (
        *([WEBGPT], "Why is the sky blue?", [["Air scatters blue light most [1]."], ["It is."]]),
        [None, None],
    ),
    "SHP": ([SHP], "How long do I knead?", [["Ten minutes."], ["No idea."]], [None, None]),
    "summarize_from_feedback": ([SUMMARIES], TLDR, [["I lost my hat."], ["A hat."]], ["sup1", "ref"]),
    "StackExchange pair": ([STACK_PAIR], "How do I sort a list?", [["Use sorted()."], ["Why?"]], [None, None]),
    "UltraFeedback": (
        *([ULTRA], "Name a fruit.", [["A pear.", "A plum."], ["Fruit."], ["No."]]),
        ["m1", "m2", "m3", "m4"],
    ),
    "Nectar": (
        *([NECTAR], DIALOGUE, [[f"Answer {rank}."] for rank in range(1, 8)]),
        [f"m{rank}" for rank in (3, 1, 7, 2, 5, 4, 6)],
    ),
    "StackExchange": (
        *([STACK], STACK["question"], [["<p>sorted()</p>"], ["<p>Why?</p>"], ["<p>No.</p>"]]),
        [None, None, None],
    ),
    "Chatbot Arena": ([ARENA], [("user", "Name a fruit.")], [["A pear."], ["No."]], ["alpha", "beta"]),
    "HelpSteer": (HELPSTEER, "Name a fruit.", [["A pear."], ["No."]], [None, None]),
    "KTO": ([KTO[0], KTO[2]], [("user", "Name a fruit.")], [["A pear."], ["No."]], [None, None]),
}


def test_every_published_form_has_a_row_here():
    assert list(EXPECTED) == [form.name for form in PUBLISHED]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_published_row_is_the_ranking_that_it_says(loaded, name):
    rows, prompt, groups, policies = EXPECTED[name]
    (ranking,), skipped = loaded(load_rankings, *rows)
    assert (asked(ranking), texts(ranking), skipped) == (prompt, groups, [])
    assert [completion.policy for completion in ranking.completions] == policies
    if name != "KTO":
        (one,), skipped = loaded(load_prompts, *rows)
        first = DIALOGUE[:1] if name == "Chatbot Arena" else prompt
        assert (asked(one), skipped) == (first, [])


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (HELPSTEER2, {"preference_strength": 0}),
        (HELPSTEER3, {"overall_preference": 0}),
        (WEBGPT, {"score_0": 0.0, "score_1": 0.0}),
        (SHP, {"score_A": 3}),
        (ULTRA, {"completions": [one | {"overall_score": 3} for one in ULTRA["completions"]]}),
        (NECTAR, {"answers": [one | {"rank": 2} for one in NECTAR["answers"]]}),
        (STACK, {"answers": [one | {"pm_score": 1} for one in STACK["answers"]]}),
        *((ARENA, {"winner": winner}) for winner in ("tie", "tie (bothbad)", "both_bad")),
        ({"prompt": "q", "chosen": [user("q"), assistant("a")], "rejected": [user("q"), assistant("b")]},
         {"prompt_id": "x", "messages": [user("q"), assistant("a")], "score_chosen": 8.5, "score_rejected": 8.5}),
    ],
)  # fmt: skip
def test_equal_judgements_are_a_tie(loaded, row, change):
    (ranking,), _ = loaded(load_rankings, row | change)
    assert (len(ranking.ranking), ranking.pairs()) == (1, [])
    records, skipped = loaded(load_rankings, row | change, should_skip_ties=True)
    assert (records, skipped) == ([], ["line 1: every completion ties, so there is no comparison"])


@pytest.mark.parametrize(
    ("rows", "column", "groups"),
    [
        ([PKU], "safer_response_id", [["Ask a doctor first."], ["Yes."]]),
        ([ULTRA], "fine-grained_score", [["No."], ["Fruit."], ["A pear.", "A plum."]]),
        ([ULTRA], "honesty", [["No."], ["A pear."], ["A plum."]]),
        (HELPSTEER, "verbosity", [["No."], ["A pear."]]),
    ],
)
def test_another_column_ranks_on_request(loaded, tmp_path, rows, column, groups):
    (ranking,), skipped = loaded(load_rankings, *rows, by=f"?by={column}")
    assert texts(ranking) == groups
    assert skipped == (["line 1: completion 4 was not judged"] if column == "honesty" else [])
    path = tmp_path / "rows.jsonl"
    assert fingerprint(f"{path}?by={column}") == f"{fingerprint(path)}?by={column}"


def test_a_column_that_does_not_rank_is_refused(loaded, tmp_path):
    records, skipped = loaded(load_rankings, PKU, by="?by=prompt")
    assert records == [] and skipped[0].startswith(
        "line 1: 'prompt' does not rank rows in the format PKU-SafeRLHF; col"
    )
    with pytest.raises(DataError, match=r"rows in the format TRL have only one judgment\. Omit it\."):
        loaded(load_rankings, {"prompt": "q", "chosen": "a", "rejected": "b"}, by="?by=score")
    with pytest.raises(DataError, match=r"names no source or no column\. Write SOURCE\?by=COLUMN"):
        list(load_rankings("rows.jsonl?by="))
    own = dump(tmp_path / "a?by=b.jsonl", [PKU])
    assert len(list(load_rankings(own))) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (PKU | {"better_response_id": None}, "'better_response_id' is not there, so there is no comparison"),
        (PKU | {"response_1": "Yes."}, "completion 1 is repeated with a different judgment, so there is no"),
        (PKU | {"context": "Mushrooms."}, "'context' is not read in this format"),
        (HELPSTEER2 | {"prompt": "a\n<extra_id_1>User\nb"}, "the turns that '<extra_id_1>' marks do not alternate"),
        (HELPSTEER3 | {"context": [user("a"), assistant("b")]}, "'context' does not end with a turn of the user"),
        (HELPSTEER3 | {"context": "a"}, "'context' is not a list of turns"),
        (SHP | {"labels": 0}, "'score_A' and 'score_B' contradict 'labels'"),
        (SUMMARIES | {"info": {"post": " "}}, "'info' has neither a post nor an article"),
        (NECTAR | {"prompt": "Name a fruit."}, "the dialogue does not begin with 'Human:' or 'Assistant:'"),
        (NECTAR | {"prompt": "\n\nHuman: a\n\nAssistant: b"}, "the prompt does not end with a turn of the user"),
        (ULTRA | {"completions": ULTRA["completions"][:1]}, "there are 1 completions, so there is no comparison"),
        (ARENA | {"conversation_a": [user("Name a fruit.")]}, "'conversation_a' ends with a turn of the user"),
        (HELPSTEER[0], "the prompt has only one completion, so there is nothing to rank"),
        (KTO[1], "the prompt has only good completions ('label'), so there is no comparison"),
        (KTO[2], "the prompt has only bad completions ('label'), so there is no comparison"),
    ],
)
def test_rows_that_hold_no_comparison_say_why(loaded, row, reason):
    records, skipped = loaded(load_rankings, row)
    assert (records, len(skipped)) == ([], 1)
    assert skipped[0].startswith(f"line 1: {reason}")


def test_dialogues_that_part_early_are_no_comparison_of_their_last_turns(loaded):
    more = [user("Another."), assistant("A plum.")]
    long = {key: [*ARENA[key], *more] for key in ("conversation_a", "conversation_b")}
    records, skipped = loaded(load_rankings, ARENA | long | {"turn": 2})
    assert records == []
    assert skipped == [
        "line 1: the dialogues differ from turn 2 on and have 4 and 4 turns; the vote is on several turns at once, and "
        "a comparison needs the same ones before the last"
    ]
    same = {key: [*ARENA["conversation_b"], user("Another."), assistant(key)] for key in long}
    (ranking,), _ = loaded(load_rankings, ARENA | same)
    assert (len(ranking.messages), texts(ranking)) == (3, [["conversation_b"], ["conversation_a"]])


def test_texts_that_repeat_are_compared_once(loaded):
    one, two, three, four = ULTRA["completions"]
    again = [one, two, one, three | {"response": "No.", "overall_score": 4}, four]
    (ranking,), skipped = loaded(load_rankings, ULTRA | {"completions": again})
    assert texts(ranking) == [["A pear."], ["Fruit."]]
    assert skipped == [
        "line 1: completion 2 is repeated with a different judgment",
        "line 1: completion 3 repeats an earlier one",
        "line 1: completion 4 is repeated with a different judgment",
    ]


def test_rows_of_one_prompt_are_joined(loaded):
    other = [row | {"prompt": "Name a star.", "system": "Be brief."} for row in HELPSTEER]
    rankings, skipped = loaded(load_rankings, *HELPSTEER, *other, HELPSTEER[0])
    assert [len(one.completions) for one in rankings] == [2, 2]
    assert asked(rankings[1]) == [("system", "Be brief."), ("user", "Name a star.")]
    assert skipped == ["line 5: the prompt has only one completion, so there is nothing to rank"]
    unfit = HELPSTEER[0] | {"response": "Never.", "deleted": True}
    (ranking,), skipped = loaded(load_rankings, *HELPSTEER, unfit)
    assert (len(ranking.completions), skipped) == (2, ["line 3: completion 3 of the prompt: 'deleted' is set"])
    prompts, _ = loaded(load_prompts, *HELPSTEER, *other)
    assert len(prompts) == 2


def test_the_labels_of_kto_rank_what_stands_apart(loaded):
    """Two good completions tie above the bad one; a prompt that has only one kind is told with its line."""
    more = KTO[0] | {"completion": [assistant("A plum.")]}
    (ranking,), skipped = loaded(load_rankings, *KTO, more)
    assert texts(ranking) == [["A pear.", "A plum."], ["No."]]
    assert skipped == ["line 2: the prompt has only good completions ('label'), so there is no comparison"]
    demonstrations, skipped = loaded(load_demonstrations, *KTO)
    assert [one.response for one in demonstrations] == ["A pear.", "Vega."]
    assert skipped == ["line 3: 'label' is false: the response is one to avoid (KTO)"]


def test_what_is_kept_beside_a_ranking(loaded):
    (ranking,), _ = loaded(load_rankings, SUMMARIES)
    assert (ranking.labeler_id, ranking.model_extra["extra"]) == ("w9", {"confidence": 8})
    (ranking,), _ = loaded(load_rankings, ARENA)
    assert (ranking.labeler_id, ranking.model_extra["question_id"]) == ("arena_user_1", "q1")
    article = {"info": {"article": "The hat was found.", "site": "own"}}
    (ranking,), _ = loaded(load_rankings, SUMMARIES | article)
    assert ranking.prompt == "ARTICLE: The hat was found.\n\nTL;DR:"


@pytest.mark.parametrize(
    ("row", "kind", "said"),
    [
        ({**PKU, "response_1": None}, "rankings", "The nearest format is PKU-SafeRLHF, without 'response_1'."),
        ({"prompt": "q", "chosen": "a"}, "rankings", "The nearest format is TRL, without 'rejected'."),
        ({"instruction": "q", "input": "a"}, "demonstrations", "The nearest format is instruction, without 'output'."),
        (PKU, "demonstrations", "It has the format PKU-SafeRLHF, which contains rankings."),
        (
            {"prompt": "q", "completion": "r"},
            "rankings",
            "It has the format TRL completion, which contains demo",
        ),
        ({"a": 1}, "rankings", "in a known format. Keys seen: a."),
    ],
)
def test_what_cannot_be_read_names_the_nearest_form(loaded, row, kind, said):
    with pytest.raises(DataError) as caught:
        loaded(KINDS[kind], row)
    assert said in str(caught.value) and str(caught.value).count("nearest format is") <= 1


SCRAPS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.sampled_from(["", " ", "a", "7", "model_a", "tie", "N/A", "\n\nHuman: a\n\nAssistant: "]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "answer", "rank", "full_text"]), inner)
    ),
    max_leaves=5,
)
GOOD = [row for rows, *_ in EXPECTED.values() for row in rows]

KEYS = sorted({key for row in GOOD for key in row})


@st.composite
def hostile_rows(draw):
    """A published row of which some keys are missing, are something else, or are joined by keys of other forms."""
    row = dict(draw(st.sampled_from(GOOD)))
    for key in draw(st.lists(st.sampled_from(sorted(row)), max_size=3, unique=True)):
        kind = draw(st.sampled_from(["gone", "scrap", "inner"]))
        if kind == "gone":
            del row[key]
        elif kind == "inner" and isinstance(row[key], list) and row[key] and isinstance(row[key][0], dict):
            items = [dict(item) for item in row[key]]
            hit = draw(st.sampled_from(sorted(items[0])))
            items[0][hit] = draw(SCRAPS)
            row[key] = items
        else:
            row[key] = draw(SCRAPS)
    return row | draw(st.dictionaries(st.sampled_from(KEYS), SCRAPS, max_size=2))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=hostile_rows(), kind=st.sampled_from(sorted(KINDS)), skip_bad=st.booleans())
def test_a_hostile_row_has_one_clear_reason_and_no_traceback(tmp_path, row, kind, skip_bad):
    """It is read, or left out with its line and reason, or refused by one of the errors that a user sees."""
    path = dump(tmp_path / "rows.jsonl", [{"prompt": "q", **EXAMPLES[kind]}, row])
    skipped = []
    try:
        records = list(KINDS[kind](path, skip_bad=skip_bad, on_skip=skipped.append))
    except UserError as error:
        assert str(error).startswith(f"{path}, line 2: ") and not skip_bad
        return
    assert len(records) > 1 or skipped
    assert all(one.message.startswith(f"{path}, line 2: ") for one in skipped)


EXAMPLES = {
    "rankings": {"chosen": "a", "rejected": "b"},
    "demonstrations": {"completion": "a"},
    "prompts": {},
}
