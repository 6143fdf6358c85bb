"""What turns the meaning of a row beside the keys of its form: read into the prompt, or left out with its name."""

from __future__ import annotations

import json

import pytest

from tutelage.store.documents import load_text_documents
from tutelage.store.reasons import Reasons
from tutelage.store.sources import load_demonstrations, load_prompts, load_rankings


@pytest.fixture
def loaded(tmp_path):
    """Write rows to a file and load them; also returns the messages of what was left out."""

    def load(loader, *rows, **options):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        skipped = []
        records = list(loader(path, on_skip=skipped.append, **options))
        return records, [one.message.removeprefix(f"{path}, ") for one in skipped]

    return load


def user(content, **more):
    return {"role": "user", "content": content, **more}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def said(record):
    return [(message.role, message.content) for message in record.messages]


HH = {"chosen": "\n\nHuman: q\n\nAssistant: good", "rejected": "\n\nHuman: q\n\nAssistant: bad"}
TREE_MESSAGES = [
    {"message_id": "m", "role": "prompter", "text": "q"},
    {"message_id": "a", "role": "assistant", "text": "good", "rank": 0, "parent_id": "m"},
    {"message_id": "b", "role": "assistant", "text": "bad", "rank": 1, "parent_id": "m"},
]
TREE = {"prompt": TREE_MESSAGES[0] | {"replies": [one | {"replies": []} for one in TREE_MESSAGES[1:]]}}
# A row of every form whose prompt is "q": what is asked beside it must be told from it in all of them.
ROWS = {
    "ranking": (
        {"prompt": "q", "completions": [{"id": "a", "text": "x"}, {"id": "b", "text": "y"}], "ranking": [["a"], ["b"]]},
        (load_rankings, load_prompts),
    ),
    "annotations": (
        {"prompt": "q", "completions": ["x", "y"], "annotations": [{"kind": "rank", "value": [1, 2]}]},
        (load_rankings, load_prompts),
    ),
    "OASST": (TREE, (load_rankings, load_demonstrations, load_prompts)),
    "HH": (HH, (load_rankings, load_prompts)),
    "TRL": ({"prompt": "q", "chosen": "good", "rejected": "bad"}, (load_rankings, load_prompts)),
    "TRL messages": (
        {"chosen": [user("q"), assistant("good")], "rejected": [user("q"), assistant("bad")]},
        (load_rankings, load_prompts),
    ),
    "demonstration": ({"prompt": "q", "response": "r"}, (load_demonstrations, load_prompts)),
    "TRL completion": ({"prompt": "q", "completion": "r"}, (load_demonstrations, load_prompts)),
    "question": ({"passage": "q", "question": "q", "answers": ["r"]}, (load_demonstrations, load_prompts)),
    "instruction": ({"instruction": "q", "input": "", "output": "r"}, (load_demonstrations, load_prompts)),
    "instances": (
        {"instruction": "q", "instances": [{"input": "q", "output": "r"}]},
        (load_demonstrations, load_prompts),
    ),
    "messages": ({"messages": [user("q"), assistant("r")]}, (load_demonstrations, load_prompts)),
    "conversations": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "r"}]},
        (load_demonstrations, load_prompts),
    ),
    "turns": ({"turns": [{"role": "user", "text": "q"}]}, (load_prompts,)),
    "text": ({"text": "q"}, (load_prompts,)),
}
CASES = [pytest.param(row, loader, id=f"{name}-{loader.__name__}") for name, (row, ls) in ROWS.items() for loader in ls]


@pytest.mark.parametrize(("row", "loader"), CASES)
@pytest.mark.parametrize("key", ["system", "system_prompt", "system_message"])
def test_a_system_prompt_stands_before_the_prompt_in_every_form(loaded, row, loader, key):
    (record,), skipped = loaded(loader, row | {key: "Answer in Welsh."})
    assert said(record)[0] == ("system", "Answer in Welsh.")
    assert said(record)[1][0] == "user" and skipped == []
    assert key not in record.model_extra
    (plain,), _ = loaded(loader, row | {key: ""})
    (bare,), _ = loaded(loader, row)
    assert plain == bare, "a blank one says nothing"


@pytest.mark.parametrize(("row", "loader"), CASES)
@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("context", "As of 1999.", "'context' is not read in this format, and the prompt does not contain its text"),
        ("passages", [["Title", "Text."]], "'passages' is not read in this format"),
        ("document", {"text": "Text."}, "'document' is not read in this format"),
        ("query", "What?", "'query' is not read in this format"),
        ("tools", [{"name": "search"}], "'tools' is part of the model's input, and no format reads it"),
        ("functions", "[{}]", "'functions' is part of the model's input, and no format reads it"),
        ("images", ["cat.png"], "'images' is part of the model's input, and no format reads it"),
        ("audio", {"path": "a.wav"}, "'audio' is part of the model's input, and no format reads it"),
        ("deleted", True, "'deleted' is set"),
    ],
)
def test_what_no_form_reads_is_left_out_by_name(loaded, row, loader, key, value, reason):
    if key == "passages" and "annotations" in row:
        return  # this form reads them
    records, skipped = loaded(loader, row | {key: value})
    assert (records, len(skipped)) == ([], 1)
    assert skipped[0].startswith(f"line 1: {reason}")
    empty = {"tools": "[]", "deleted": False}.get(key, [])
    assert len(loaded(loader, row | {key: empty})[0]) == 1


@pytest.mark.parametrize(("row", "loader"), CASES)
@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("weight", 0, "the row is marked not to be trained on"),
        ("train", False, "the row is marked not to be trained on"),
        ("loss", False, "the row is marked not to be trained on"),
        ("weight", 0.5, "the row has 'weight' 0.5; fractional weights are not read"),
        ("label", False, "'label' is false: the response is one to avoid (KTO)"),
        ("label", 0, "'label' is neither true nor text"),
        ("mask", [0, 1], "the row has 'mask'; which parts of it count is not known"),
        ("masked", True, "the row has 'masked'; which parts of it count is not known"),
    ],
)
def test_marks_hold_for_what_is_trained_on(loaded, row, loader, key, value, reason):
    records, skipped = loaded(loader, row | {key: value})
    if loader is load_prompts:
        assert (len(records), skipped) == (1, []), "a prompt is asked, whatever was thought of its responses"
    else:
        assert (records, len(skipped)) == ([], 1)
        assert skipped[0].startswith(f"line 1: {reason}")
    harmless = {"label": True, "mask": [], "masked": False}.get(key, 1)
    assert len(loaded(loader, row | {key: harmless, "lang": "en", "topic": "t"})[0]) == 1


# --- what stands before the prompt ---


def test_alpaca_rows_with_a_history_and_a_system_prompt(loaded):
    row = {"instruction": "And to Rome?", "input": "By rail.", "output": "A day.", "system": "Be brief."}
    rows = [row | {"history": [["How far to Bonn?", "An hour."], ["And to Ulm?", "Three."]]}, row | {"history": []}]
    before = [
        *[("user", "How far to Bonn?"), ("assistant", "An hour.")],
        *[("user", "And to Ulm?"), ("assistant", "Three.")],
    ]
    asked = [("user", "And to Rome?\n\nBy rail.")]
    for loader in (load_demonstrations, load_prompts):
        (long, short), skipped = loaded(loader, *rows)
        assert (said(long), said(short), skipped) == (
            [("system", "Be brief."), *before, *asked],
            [("system", "Be brief."), *asked],
            [],
        )
    (bare,), _ = loaded(load_demonstrations, row | {"history": None, "system": None, "input": None})
    assert (bare.prompt, bare.messages) == ("And to Rome?", None)


@pytest.mark.parametrize(
    "history", [["q", "a"], [["q"]], "Human: q", [{"role": "user", "content": "q"}], [["q", None]]]
)
def test_a_history_in_another_form_is_refused(loaded, history):
    records, skipped = loaded(load_demonstrations, {"instruction": "i", "output": "o", "history": history})
    assert records == []
    assert skipped == ["line 1: 'history' must be pairs [user, assistant] of text; other formats are not read"]


def test_a_history_beside_a_dialogue_is_refused(loaded):
    records, skipped = loaded(load_demonstrations, ROWS["messages"][0] | {"history": [["1", "2"]]})
    assert (records, skipped) == (
        [],
        ["line 1: there are both 'history' and a dialogue; which of them comes first is not known"],
    )


def test_two_system_prompts_are_one_or_refused(loaded):
    row = {"messages": [system("Be brief."), user("q"), assistant("r")]}
    (one,), _ = loaded(load_demonstrations, row | {"system": "Be brief. "})
    assert [role for role, _ in said(one)] == ["system", "user"]
    records, skipped = loaded(load_demonstrations, row | {"system": "Be long."}, row | {"system": {"a": 1}})
    assert (records, skipped) == (
        [],
        [
            "line 1: the row has a system prompt, but its dialogue begins with another one",
            "line 2: 'system' is not text, so it is not known what it asks the model",
        ],
    )
    _, skipped = loaded(load_demonstrations, {"prompt": "p", "response": "r", "system": "a", "system_prompt": "b"})
    assert skipped == ["line 1: 'system' and 'system_prompt' differ; which one is right is not known"]


def test_the_id_of_a_prompt_is_that_of_all_it_says(loaded):
    (bare,), _ = loaded(load_prompts, {"prompt": "q"})
    (before, same), _ = loaded(load_prompts, {"prompt": "q", "system": "s"}, {"messages": [system("s"), user("q")]})
    assert before.id == same.id != bare.id
    (named,), _ = loaded(load_prompts, {"prompt": "q", "system": "s", "prompt_id": "p7", "user_id": 3})
    assert (named.id, named.user_id) == ("p7", "3")


def test_what_stands_in_the_prompt_already_may_stand_beside_it(loaded):
    row = {"prompt": "Read.\n\nMia has  a pear.\n\nWhat does she have?", "completion": "A pear."}
    (one,), skipped = loaded(
        load_demonstrations, row | {"context": "Mia has a\npear.", "question": "What does she have?"}
    )
    assert (one.prompt, skipped) == (row["prompt"], [])
    chosen = [system("s"), user("1"), assistant("2"), user("3"), assistant("good")]
    pair = {"prompt": "1", "chosen": chosen, "rejected": [*chosen[:-1], assistant("bad")]}
    (ranking,), skipped = loaded(load_rankings, pair | {"messages": chosen, "score_chosen": 9, "score_rejected": 2})
    assert (len(ranking.messages), skipped) == (4, [])
    _, skipped = loaded(load_rankings, pair | {"messages": [user("other"), assistant("2")]})
    assert skipped == ["line 1: 'messages' is not read in this format, and the prompt does not contain its text"]
    _, skipped = loaded(load_rankings, {"prompt": "q", "chosen": "a", "rejected": "b", "conversations": [user("0")]})
    assert skipped[0].startswith("line 1: 'conversations' is not read")
    _, skipped = loaded(load_demonstrations, {"instruction": "i", "input": "lost", "instances": [{"output": "o"}]})
    assert skipped[0].startswith("line 1: 'input' is not read")


# --- dialogues ---


def test_the_system_turn_of_a_sharegpt_dialogue_is_kept(loaded):
    row = {
        "conversations": [
            {"from": "system", "value": "s"},
            {"from": "human", "value": "1"},
            {"from": "gpt", "value": "2"},
        ]
    }
    (one,), _ = loaded(load_demonstrations, row)
    assert (said(one), one.response) == ([("system", "s"), ("user", "1")], "2")
    (prompt,), _ = loaded(load_prompts, row)
    assert said(prompt) == [("system", "s"), ("user", "1")]


def test_a_prompt_beside_its_dialogue_is_the_whole_dialogue(loaded):
    row = {"prompt": "1", "prompt_id": "x", "messages": [system("s"), user("1"), assistant("2"), user("3")]}
    (prompt,), _ = loaded(load_prompts, row)
    assert (prompt.id, len(prompt.messages), prompt.messages[0].content) == ("x", 4, "s")


def test_a_row_written_out_as_text_is_not_a_prompt(loaded):
    row = {"instruction": "Name a fruit.", "input": "", "output": "A pear."}
    (prompt,), _ = loaded(load_prompts, row | {"text": "### Instruction:\nName a fruit.\n### Response:\nA pear."})
    assert prompt.text == "Name a fruit."


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("messages", {"messages": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "r"}]}),
        ("developer", {"messages": [{"role": "developer", "content": "s"}, user("q"), assistant("r")]}),
    ],
)
def test_roles_by_other_names(loaded, name, spelled):
    (one,), _ = loaded(load_demonstrations, spelled)
    assert said(one) == [*([("system", "s")] if name == "developer" else []), ("user", "q")]
    assert one.response == "r"


@pytest.mark.parametrize("key", ["messages", "conversations", "turns"])
@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        (
            {"from": "function_call", "value": "f(3)"},
            "calls a tool (role 'function_call'), which is not read",
        ),
        ({"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}, "has 'tool_calls', which is not read"),
        ({"role": "assistant", "content": None, "function_call": {"name": "f"}}, "has 'function_call', which is not"),
        ({"role": "user", "content": "Look.", "images": ["a.png"]}, "has 'images', which is not read; only text is"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "has a part of the type 'image_url'"),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, "has a part of the type 'text'; only parts"),
        ({"role": "user", "content": [{"text": "Look."}]}, "has a part without a type; only parts of text are read"),
        ({"role": "assistant", "content": "Yes.", "weight": 0.3}, "has 'weight' 0.3; fractional weights are not read"),
        ({"role": "assistant", "content": "Yes.", "train_detail": [{"begin": 0}]}, "has 'train_detail'; which parts"),
    ],
)
def test_turns_that_are_more_than_text_are_refused(loaded, key, turn, reason):
    for loader in (load_demonstrations, load_prompts):
        records, skipped = loaded(loader, {key: [user("q"), turn, user("more"), assistant("r")]})
        assert records == []
        assert skipped[0].startswith(f"line 1: turn 2 of '{key}' {reason}")


@pytest.mark.parametrize("role", ["tool", "function", "observation", "ipython"])
def test_what_a_tool_returned_and_parts_of_text_are_read(loaded, role):
    """OpenAI's messages: the developer's turn is the system's, a tool's is context, parts follow each other."""
    parts = [{"type": "text", "text": "What is 2 "}, {"type": "text", "text": "+ 1?", "image_url": None}]
    call = assistant("<tool_call>2 + 1</tool_call>", tool_calls=None)
    row = {
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            *[user(parts), call, {"role": role, "content": "3", "tool_call_id": "c"}, assistant("Three.")],
        ]
    }
    (first, last), skipped = loaded(load_demonstrations, row)
    before = [("system", "Be brief."), ("user", "What is 2 + 1?")]
    assert (said(first), first.response, skipped) == (before, call["content"], [])
    assert said(last) == [*before, ("assistant", call["content"]), ("tool", "3")]
    assert last.response == "Three."


@pytest.mark.parametrize("mark", [{"train": False}, {"weight": 0}, {"loss": False}, {"training": False}])
def test_turns_that_are_not_trained_on_are_context_only(loaded, mark):
    row = {"messages": [user("1"), assistant("2", **mark), user("3"), assistant("4", weight=1, train=True)]}
    (one,), skipped = loaded(load_demonstrations, row)
    assert (said(one), one.response) == ([("user", "1"), ("assistant", "2"), ("user", "3")], "4")
    assert skipped == ["line 1: turn 2 of the dialogue is marked not to be trained on"]
    last = {"messages": [*row["messages"], user("5"), assistant("6", **mark)]}
    (one,), _ = loaded(load_demonstrations, last, turns="last")
    assert one.response == "4"
    records, skipped = loaded(load_demonstrations, {"messages": row["messages"][:2]})
    assert (records, skipped) == ([], ["line 1: every turn of the assistant is marked not to be trained on"])
    pair = {"prompt": [user("q")], "chosen": [assistant("a", **mark)], "rejected": [assistant("b")]}
    records, skipped = loaded(load_rankings, pair)
    assert (records, skipped) == ([], ["line 1: the last turn of chosen or rejected is marked not to be trained on"])


def test_blank_turns_and_outputs_among_others_are_told(loaded):
    _, skipped = loaded(load_demonstrations, {"messages": [user("1"), assistant(" "), user("3"), assistant("4")]})
    assert skipped == ["line 1: turn 2 of the dialogue is blank, so there is no demonstration"]
    instances = [{"output": "o"}, {"input": "i", "output": " "}]
    records, skipped = loaded(load_demonstrations, {"instruction": "do", "instances": instances})
    assert ([one.response for one in records], skipped) == (
        ["o"],
        ["line 1: the output of instance 2 is blank, so there is no demonstration"],
    )


def test_the_first_answer_with_text_is_taken_and_all_are_kept(loaded):
    (one,), skipped = loaded(load_demonstrations, {"passage": "p", "question": "q", "answers": [" ", "a", "b"]})
    assert (one.response, one.model_extra["answers"], skipped) == ("a", [" ", "a", "b"], [])


def test_two_dialogues_in_one_row_are_refused(loaded):
    records, skipped = loaded(load_prompts, {"turns": [user("a")], "conversations": [user("b")]})
    assert (records, skipped) == (
        [],
        ["line 1: 'turns' and 'conversations' are both present; which of them is the dialogue is not known"],
    )


def test_a_prompt_that_the_sides_repeat_in_part_stands_there_once(loaded):
    sides = {"chosen": [user("q"), assistant("good")], "rejected": [user("q"), assistant("bad")]}
    (ranking,), _ = loaded(load_rankings, {"prompt": [system("s"), user("q")], **sides})
    assert said(ranking) == [("system", "s"), ("user", "q")]
    (one,), _ = loaded(load_demonstrations, {"prompt": [system("s"), user("q")], "completion": sides["chosen"]})
    assert (said(one), one.response) == ([("system", "s"), ("user", "q")], "good")
    records, skipped = loaded(load_rankings, {"prompt": "another", **sides})
    assert (records, skipped) == (
        [],
        ["line 1: what follows 'prompt' neither begins with an assistant turn nor repeats it"],
    )


# --- pairs ---


@pytest.mark.parametrize(
    "tie",
    [
        {"score_chosen": 4.0, "score_rejected": 4},
        {"chosen_score": 1, "rejected_score": 1},
        {"chosen-rating": 5, "rejected-rating": 5},
        {"margin": 0.0},
        {"is_tie": True},
    ],
)
@pytest.mark.parametrize("pair", [HH, ROWS["TRL"][0], ROWS["TRL messages"][0]])
def test_equal_scores_are_a_tie(loaded, pair, tie):
    (ranking,), _ = loaded(load_rankings, pair | tie)
    assert (ranking.ranking, ranking.pairs()) == ((("c1", "c2"),), [])
    records, skipped = loaded(load_rankings, pair | tie, should_skip_ties=True)
    assert (records, skipped) == ([], ["line 1: every completion ties, so there is no comparison"])


@pytest.mark.parametrize("scores", [{"score_chosen": 5, "score_rejected": 4}, {"margin": 0.5}, {"score_chosen": 0}])
def test_other_scores_leave_the_order_as_it_is(loaded, scores):
    (ranking,), _ = loaded(load_rankings, ROWS["TRL"][0] | scores)
    assert (ranking.pairs(), ranking.model_extra) == ([(0, 1)], scores)


def test_scores_against_the_order_are_refused(loaded):
    _, skipped = loaded(load_rankings, HH | {"score_chosen": 1, "score_rejected": 2}, HH | {"margin": -1})
    assert skipped == [
        "line 1: 'score_chosen' and 'score_rejected' say that the rejected side is better; "
        "which of them is right is not known",
        "line 2: 'margin' and 0 say that the rejected side is better; which of them is right is not known",
    ]


def test_a_dialogue_that_ends_with_the_user_says_so(loaded):
    longer = {"chosen": HH["chosen"] + "\n\nHuman: Thanks.", "rejected": HH["rejected"]}
    records, skipped = loaded(load_rankings, longer)
    assert (records, skipped) == (
        [],
        ["line 1: chosen ends with a turn of the user, so there is no response to compare"],
    )


# --- OASST ---


def test_a_message_without_its_parent_begins_no_dialogue(loaded):
    parts = [one | {"message_tree_id": "t"} for one in TREE_MESSAGES]
    torn = {"message_id": "n", "parent_id": "gone", "role": "prompter", "text": "And then?", "message_tree_id": "t"}
    prompts, skipped = loaded(load_prompts, *parts, torn)
    assert [one.id for one in prompts] == ["m"]
    assert skipped == [
        "line 4: message n replies to one that is not among its neighbors, so what was said before it is "
        "unknown; the messages of a tree must be consecutive"
    ]


def test_messages_that_were_refused_in_review_are_not_used(loaded):
    refused, good = (one | {"replies": []} for one in TREE_MESSAGES[1:])
    follow = {"message_id": "f", "role": "prompter", "text": "More?", "replies": [], "parent_id": "a"}
    row = {"prompt": TREE_MESSAGES[0] | {"replies": [refused | {"review_result": False, "replies": [follow]}, good]}}
    (one,), skipped = loaded(load_demonstrations, row)
    assert (one.response, len(skipped)) == ("bad", 1)
    assert skipped == ["line 1: message a is deleted, refused in review or blank; so are its replies"]
    for state in ("aborted_low_grade", "halted_by_moderator"):
        records, skipped = loaded(load_prompts, TREE | {"tree_state": state})
        assert (records, skipped) == ([], [f"line 1: 'tree_state' is '{state}': the tree was abandoned"])


# --- annotations ---


def test_annotations_that_were_deleted_are_left_out_one_by_one(loaded):
    votes = [{"kind": "rank", "value": [1, 2], "annotator": name} for name in ("a", "b")]
    row = ROWS["annotations"][0] | {"annotations": [votes[0] | {"deleted": True}, votes[1]]}
    (ranking,), skipped = loaded(load_rankings, row)
    assert (ranking.labeler_id, skipped) == ("b", ["line 1: annotation 1: 'deleted' is set"])


# --- what is said of it ---


def test_losses_are_told_by_reason_with_the_first_record(tmp_path, caplog):
    path = tmp_path / "rows.jsonl"
    bad = [{"prompt": "p", "response": "r", "tools": ["t"]}, {"prompt": "p", "response": 7}, {"response": "r"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*bad, *bad, bad[1] | {"response": 8}]))
    assert list(load_demonstrations(path, skip_bad=True)) == []
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{path}: 7 records left out; the first: {path}, line 1: 'tools' is part of the model's")
    assert "no format reads it [this and 1 more]; " in told
    assert f"{path}, line 2: field 'response' is 7; " in told and told.count("line ") == 3
    assert "[this and 2 more]" in told


def test_reasons_beyond_the_limit_are_counted():
    messages = [f"f.jsonl, line {number}: reason {letter}" for number, letter in enumerate("aabc", start=1)]
    assert Reasons(messages).lines(2) == [
        "f.jsonl, line 1: reason a [this and 1 more]",
        "f.jsonl, line 3: reason b",
        "1 more for 1 other reasons",
    ]
    assert Reasons(
        ["prompt 1f: prompt of 50 tokens, limit 40", "prompt 2e: prompt of 61 tokens, limit 40"]
    ).lines() == ["prompt 1f: prompt of 50 tokens, limit 40 [this and 1 more]"]


# --- documents ---


def test_documents_of_rows_that_are_more_than_text_or_deleted_are_left_out(tmp_path):
    rows = [{"text": "a"}, {"text": "b", "deleted": True}, {"text": "c", "images": ["x"]}, {"text": "d", "weight": 0}]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    skipped = []
    assert list(load_text_documents(path, on_skip=skipped.append)) == ["a"]
    assert [(one.line, one.message) for one in skipped] == [
        (2, f"{path}, line 2: 'deleted' is set"),
        (3, f"{path}, line 3: 'images' is part of the model's input, and no format reads it"),
        (4, f"{path}, line 4: the row is marked not to be trained on (train, training, loss or weight)"),
    ]
