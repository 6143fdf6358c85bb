"""Other people's forms: each row by hand, as the form's own publisher writes it, and the record that it becomes."""

from __future__ import annotations

import json
import lzma
import sys

import pytest

from tutelage.errors import DataError, RecordError
from tutelage.store.documents import load_text_documents
from tutelage.store.hub import HubId, parse_hub_id
from tutelage.store.sources import load_demonstrations, load_prompts, load_rankings


@pytest.fixture
def loaded(tmp_path):
    """Write rows to a file and load them; also returns the messages of the rows that were left out."""

    def load(loader, *rows, **options):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        skipped = []
        records = list(loader(path, on_skip=skipped.append, **options))
        return records, [one.message.removeprefix(f"{path}, ") for one in skipped]

    return load


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


def said(record):
    return [(message.role, message.content) for message in record.messages]


def texts(ranking):
    """The completions' texts in tie groups, best first."""
    by_id = {completion.id: completion.text for completion in ranking.completions}
    return [[by_id[identity] for identity in group] for group in ranking.ranking]


# --- our own records, and what TRL reads ---


def test_own_records_are_read_as_they_are(loaded):
    ranking = {
        "prompt": "p",
        "completions": [{"id": "a", "text": "x"}, {"id": "b", "text": "y"}],
        "ranking": [["b"], ["a"]],
    }
    (record,), skipped = loaded(load_rankings, ranking | {"labeler_id": "l", "note": 1})
    assert (record.labeler_id, record.model_extra, texts(record), skipped) == ("l", {"note": 1}, [["y"], ["x"]], [])
    (demonstration,), _ = loaded(load_demonstrations, {"messages": [user("q")], "response": "r", "prompt_id": "i"})
    assert (said(demonstration), demonstration.response, demonstration.prompt_id) == ([("user", "q")], "r", "i")
    (prompt,), _ = loaded(load_prompts, {"text": "t", "user_id": "u", "split": "valid"})
    assert (prompt.text, prompt.user_id, prompt.split) == ("t", "u", "valid")
    (prompt,), _ = loaded(load_prompts, {"messages": [user("q")], "user_id": "u"})
    assert (said(prompt), prompt.user_id) == ([("user", "q")], "u")


def test_trl_prompt_and_completion(loaded):
    rows = [
        {"prompt": "p ", "completion": " c", "task": "t", "labeler_id": 7},
        {"prompt": [{"role": "system", "content": "s"}, user("q")], "completion": [assistant("a")]},
        {"prompt": "p", "completion": "  "},
    ]
    (plain, chat), skipped = loaded(load_demonstrations, *rows)
    assert (plain.prompt, plain.response, plain.labeler_id, plain.model_extra) == ("p ", " c", "7", {"task": "t"})
    assert (said(chat), chat.response) == ([("system", "s"), ("user", "q")], "a")
    assert skipped == ["line 3: the completion is blank, so there is no demonstration"]


def test_turns_before_a_trl_completion_are_not_demonstrations(loaded):
    row = {"prompt": [user("1"), assistant("2"), user("3")], "completion": [assistant("4"), user("5"), assistant("6")]}
    every, _ = loaded(load_demonstrations, row)
    assert [one.response for one in every] == ["4", "6"]
    last, _ = loaded(load_demonstrations, row, turns="last")
    assert [(one.response, len(one.messages)) for one in last] == [("6", 5)]


def test_trl_messages(loaded):
    row = {
        "messages": [
            assistant("hello"),
            user("1"),
            assistant("2"),
            assistant(" "),
            user("3"),
            assistant("4"),
            user("5"),
        ]
    }
    every, _ = loaded(load_demonstrations, row)
    assert [(one.response, len(one.messages)) for one in every] == [("2", 2), ("4", 5)]
    last, _ = loaded(load_demonstrations, row, turns="last")
    assert [one.response for one in last] == ["4"]
    (prompt,), _ = loaded(load_prompts, row)
    assert said(prompt)[-1] == ("user", "5")
    none, skipped = loaded(load_demonstrations, {"messages": [assistant("a")]})
    assert (none, skipped) == (
        [],
        ["line 1: no assistant turn with text follows a user turn, so there is no demonstration"],
    )


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [user("q")], "chosen": [assistant("good")], "rejected": [assistant("bad")]},
        {"chosen": [user("q"), assistant("good")], "rejected": [user("q"), assistant("bad")]},
        {"prompt": "q", "chosen": [user("q"), assistant("good")], "rejected": [user("q"), assistant("bad")]},
        {"prompt": [user("q")], "chosen": [user("q"), assistant("good")], "rejected": [user("q"), assistant("bad")]},
        {"prompt": "q", "chosen": [assistant("good")], "rejected": [assistant("bad")]},
    ],
)
def test_trl_pairs_of_messages(loaded, row):
    (ranking,), _ = loaded(load_rankings, row)
    assert (said(ranking), texts(ranking)) == ([("user", "q")], [["good"], ["bad"]])
    (prompt,), _ = loaded(load_prompts, row)
    assert said(prompt) == [("user", "q")]


def test_trl_pairs_of_text(loaded):
    row = {"prompt": "q", "chosen": "good", "rejected": "bad", "prompt_id": "x", "score_chosen": 9}
    (ranking,), _ = loaded(load_rankings, row)
    assert (ranking.prompt, texts(ranking), ranking.pairs()) == ("q", [["good"], ["bad"]], [(0, 1)])
    assert (ranking.prompt_id, ranking.model_extra) == ("x", {"score_chosen": 9})
    (prompt,), _ = loaded(load_prompts, row)
    assert (prompt.text, prompt.id) == ("q", "x")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"prompt": "q", "chosen": "a", "rejected": "a"},
            "chosen and rejected are the same text, so there is no comparison",
        ),
        (
            {"chosen": [user("q"), assistant("a")], "rejected": [user("r"), assistant("b")]},
            "chosen and rejected differ before their last turn, so they share no prompt",
        ),
        (
            {"chosen": [user("q"), user("a")], "rejected": [user("q"), user("b")]},
            "chosen ends with a turn of the user, so there is no response to compare",
        ),
        (
            {"chosen": [assistant("a")], "rejected": [assistant("b")]},
            "there is nothing before the last turn, so there is no prompt",
        ),
        (
            {"chosen": [], "rejected": []},
            "chosen and rejected differ before their last turn, so they share no prompt",
        ),
    ],
)
def test_pairs_that_cannot_be_compared_are_reported(loaded, row, message):
    records, skipped = loaded(load_rankings, row)
    assert (records, skipped) == ([], [f"line 1: {message}"])


# --- Anthropic HH ---

HH = {
    "chosen": "\n\nHuman: Hi\n\nAssistant: Hello.\nHow\n\nare you?\n\nHuman: Well: good \n\nAssistant: Fine.",
    "rejected": "\n\nHuman: Hi\n\nAssistant: Hello.\nHow\n\nare you?\n\nHuman: Well: good \n\nAssistant:",
}


def test_hh_dialogues(loaded):
    (ranking,), _ = loaded(load_rankings, HH)
    before = [("user", "Hi"), ("assistant", "Hello.\nHow\n\nare you?"), ("user", "Well: good")]
    assert (said(ranking), texts(ranking)) == (before, [["Fine."], [""]])
    (prompt,), _ = loaded(load_prompts, HH)
    assert said(prompt) == before


def test_a_name_inside_an_hh_turn_does_not_end_it(loaded):
    quoting = "\n\nHuman: He said\nHuman: no.\n\nAssistant: "
    (ranking,), _ = loaded(load_rankings, {"chosen": quoting + "a", "rejected": quoting + "b"})
    assert said(ranking) == [("user", "He said\nHuman: no.")]


def test_hh_dialogues_that_part_early_or_have_no_speaker_are_reported(loaded):
    rows = [
        {"chosen": HH["chosen"], "rejected": "\n\nHuman: Hi\n\nAssistant: No."},
        {"chosen": "plain", "rejected": "text"},
        {"chosen": HH["chosen"], "rejected": HH["chosen"]},
    ]
    records, skipped = loaded(load_rankings, *rows)
    assert records == []
    assert skipped == [
        "line 1: chosen and rejected differ before their last turn, so they share no prompt",
        "line 2: the dialogue does not begin with 'Human:' or 'Assistant:'",
        "line 3: chosen and rejected are the same text, so there is no comparison",
    ]


# --- OASST trees ---


def node(identity, role, text, *replies, **more):
    return {"message_id": identity, "role": role, "text": text, "lang": "en", "replies": list(replies), **more}


TREE = {
    "message_tree_id": "m",
    "tree_state": "ready_for_export",
    "prompt": node(
        "m",
        "prompter",
        "root",
        node(
            "a1",
            "assistant",
            "second",
            node("p2", "prompter", "more", node("a4", "assistant", "only", user_id="u4"), user_id="u2"),
            rank=1,
        ),
        node("a2", "assistant", "first", rank=0, user_id="u9", synthetic=True, model_name="sft-1"),
        node("a3", "assistant", "also second", rank=1),
        node("a5", "assistant", "unranked"),
        node("a6", "assistant", "gone", rank=3, deleted=True),
    ),
}


def test_oasst_rankings(loaded):
    (ranking,), _ = loaded(load_rankings, TREE)
    assert (said(ranking), texts(ranking)) == ([("user", "root")], [["first"], ["second", "also second"]])
    assert [(one.id, one.policy) for one in ranking.completions] == [("a1", "human"), ("a2", "sft-1"), ("a3", "human")]
    assert (ranking.prompt_id, ranking.model_extra) == ("m", {"language": "en"})


def test_oasst_demonstrations_and_prompts(loaded):
    demonstrations, _ = loaded(load_demonstrations, TREE)
    path = [("user", "root"), ("assistant", "second"), ("user", "more")]
    assert [(said(one), one.response, one.labeler_id) for one in demonstrations] == [
        ([("user", "root")], "first", "u9"),
        (path, "only", "u4"),
    ]
    prompts, _ = loaded(load_prompts, TREE)
    assert [(one.id, one.user_id, one.language) for one in prompts] == [("m", None, "en"), ("p2", "u2", "en")]
    assert said(prompts[1]) == path


def test_oasst_branches_come_in_the_order_of_the_tree(loaded):
    branches = [node(f"a{i}", "assistant", f"a{i}", node(f"p{i}", "prompter", f"p{i}")) for i in (1, 2, 3)]
    prompts, _ = loaded(load_prompts, {"prompt": node("p0", "prompter", "p0", *branches)})
    assert [one.id for one in prompts] == ["p0", "p1", "p2", "p3"]
    assert said(prompts[2]) == [("user", "p0"), ("assistant", "a2"), ("user", "p2")]


def flat(tree):
    """The messages of a tree one by one, parents first, as the published data set has them."""
    waiting = [(None, tree["prompt"])]
    while waiting:
        parent, message = waiting.pop(0)
        row = {key: value for key, value in message.items() if key != "replies"}
        yield row | {"parent_id": parent, "message_tree_id": tree["message_tree_id"]}
        waiting.extend((message["message_id"], reply) for reply in message["replies"])


def test_oasst_messages_are_joined_to_trees(loaded):
    other = {"message_tree_id": "n", "prompt": node("n", "prompter", "alone")}
    rows = [*flat(TREE), *flat(other), *flat(TREE)]
    together, skipped = loaded(load_rankings, *rows)
    (expected,), _ = loaded(load_rankings, TREE)
    assert together == [expected, expected]
    assert skipped == [
        f"line {len(rows) // 2 + 1}: no message of the tree has two ranked replies, so there is no ranking"
    ]


# --- the annotations form ---


def annotated(*annotations, completions=("one", "two", "three"), **more):
    row = {"source": "set", "id": 5, "prompt": "q", "completions": list(completions)} | more
    return row | {"annotations": [{"annotator": "w1", "group": None} | one for one in annotations]}


def test_ranks_and_scores_become_tie_groups(loaded):
    rows = [
        annotated({"kind": "rank", "value": [2, 1, 2]}, systems=["x", 8, "z"]),
        annotated({"kind": "scores", "value": [10, 45, 45]}),
        annotated({"kind": "score_vs_reference", "value": [0.1, 0.9, 0.5], "group": "AI"}),
    ]
    (ranked, scored, against), skipped = loaded(load_rankings, *rows)
    assert texts(ranked) == [["two"], ["one", "three"]]
    assert texts(scored) == [["two", "three"], ["one"]]
    assert texts(against) == [["two"], ["three"], ["one"]]
    assert [one.policy for one in ranked.completions] == ["x", "8", "z"]
    assert (ranked.prompt, ranked.prompt_id, ranked.labeler_id) == ("q", "set:5", "w1")
    assert (ranked.model_extra, against.model_extra) == ({"source": "set"}, {"source": "set", "labeler_group": "AI"})
    assert skipped == []


def test_all_pairs_become_comparisons(loaded):
    pairs = [[0, 1], [0, 2], [1, 2]]
    (ranking,), _ = loaded(load_rankings, annotated({"kind": "all_pairs", "pairs": pairs, "value": [0, 1, 2]}))
    assert ranking.comparisons == (("c1", "c3"), ("c3", "c2"))
    assert ranking.pairs() == [(0, 2), (2, 1)]
    assert (ranking.ranking, ranking.model_extra["ties"]) == ((), [("c1", "c2")])


def test_each_labelers_vote_on_a_pair_is_a_ranking(loaded):
    votes = [{"kind": "pairwise", "value": value, "annotator": f"w{value}"} for value in (0, 1, 2)]
    row = annotated(*votes, completions=["one", "two"], prompt_id=8)
    records, _ = loaded(load_rankings, row)
    assert [(one.labeler_id, texts(one), one.pairs()) for one in records] == [
        ("w0", [["one", "two"]], []),
        ("w1", [["one"], ["two"]], [(0, 1)]),
        ("w2", [["two"], ["one"]], [(1, 0)]),
    ]
    assert {one.prompt_id for one in records} == {"set:8"}
    compared, skipped = loaded(load_rankings, row, should_skip_ties=True)
    assert [one.labeler_id for one in compared] == ["w1", "w2"]
    assert skipped == ["line 1: every completion ties, so there is no comparison"]


def test_passages_stand_before_the_question(loaded):
    passages = [["Title", "Title\n\nFirst. ", "Second."], ["Title", "Third."]]
    row = annotated({"kind": "rank", "value": [1, 2, 3], "annotator": "unknown"}, passages=passages)
    (ranking,), _ = loaded(load_rankings, row)
    assert ranking.prompt == "Title\n\nFirst. Second.\n\nTitle\nThird.\n\nq"
    assert ranking.labeler_id is None
    (prompt,), _ = loaded(load_prompts, row)
    assert (prompt.text, prompt.id) == (ranking.prompt, "set:5")


def test_dialogues_of_oasst_rows_become_messages(loaded):
    label = {"kind": "rank", "value": [1, 2, 3]}
    rows = [
        annotated(label, source="oasst_100trees", prompt="User: a\n\nb\n\nAssistant: c\n\nUser: User: d"),
        annotated(label, source="oasst_100trees", prompt="User: a\n\nUser: b"),
        annotated(label, source="oasst_100trees", prompt="User: a\n\nAssistant: b"),
        annotated(label, prompt="User: a"),
    ]
    (dialogue, *others), _ = loaded(load_rankings, *rows)
    assert said(dialogue) == [("user", "a\n\nb"), ("assistant", "c"), ("user", "User: d")]
    assert [one.prompt for one in others] == ["User: a\n\nUser: b", "User: a\n\nAssistant: b", "User: a"]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (
            annotated({"kind": "rank", "value": [1, 2]}),
            "annotation 1 (rank): 2 values for 3 completions",
        ),
        (
            annotated({"kind": "rank", "value": [1, 2, 3]}, {"kind": "all_pairs", "pairs": [[0, 3]], "value": [1]}),
            "annotation 2 (all_pairs): a pair names a completion that does not exist; there are 3",
        ),
        (
            annotated({"kind": "all_pairs", "pairs": [[0, 1]], "value": [1, 2]}),
            "annotation 1 (all_pairs): 2 values for 1 pairs",
        ),
        (
            annotated({"kind": "all_pairs", "pairs": [[0, 1]], "value": [3]}),
            "annotation 1 (all_pairs): a value must be 0 (tie), 1 (first) or 2 (second)",
        ),
        (
            annotated({"kind": "pairwise", "value": 1}),
            "annotation 1 (pairwise): it needs one value and two completions, not 3",
        ),
        (
            annotated({"kind": "rank", "value": [1, 2, 3]}, systems=["x"]),
            "'systems' has 1 entries for 3 completions",
        ),
    ],
)
def test_annotations_that_do_not_fit_are_bad_records(loaded, row, rule):
    with pytest.raises(RecordError) as caught:
        loaded(load_rankings, row)
    assert (caught.value.rule, caught.value.line, caught.value.remedy) == (
        rule,
        1,
        "Correct it, or choose to skip bad records.",
    )
    assert loaded(load_rankings, row, skip_bad=True)[0] == []


def test_scores_that_are_not_numbers_are_bad_records(loaded):
    with pytest.raises(RecordError, match=r"field 'annotations\.0\.value"):
        loaded(load_rankings, annotated({"kind": "scores", "value": [1, float("nan"), 2]}))


def test_rows_without_anything_to_rank_are_reported(loaded):
    rows = [annotated({"kind": "rank", "value": [1]}, completions=["one"]), annotated()]
    records, skipped = loaded(load_rankings, *rows)
    assert records == []
    assert skipped == [
        "line 1: there are 1 completions, so there is nothing to rank",
        "line 2: there are no annotations, so there is no ranking",
    ]
    assert len(loaded(load_prompts, *rows)[0]) == 2


# --- demonstrations in other forms ---


def test_the_end_of_text_marker_of_t0_rows_is_stripped(loaded):
    rows = [
        {"template": "t", "prompt": "p", "response": "Sports<|endoftext|>"},
        {"template": "t", "prompt": "p", "response": " <|endoftext|>"},
    ]
    (one,), skipped = loaded(load_demonstrations, *rows)
    assert (one.prompt, one.response, one.model_extra) == ("p", "Sports", {"template": "t"})
    assert skipped == ["line 2: the response is blank, so there is no demonstration"]
    assert [prompt.text for prompt in loaded(load_prompts, *rows)[0]] == ["p", "p"]


def test_a_blank_response_of_our_own_form_is_a_bad_record(loaded):
    with pytest.raises(RecordError, match="field 'response' is ''; String should have at least 1 character"):
        loaded(load_demonstrations, {"prompt": "p", "response": ""})


def test_questions_on_passages(loaded):
    row = {
        "split": "val",
        "story": "s",
        "passage": "One.\r\rTwo.\r\n",
        "question": "Who?",
        "answers": ["he", "him"],
        "kind": "x",
    }
    (one,), _ = loaded(load_demonstrations, row)
    assert (one.prompt, one.response) == ("One.\n\nTwo.\n\nWho?", "he")
    assert one.model_extra == {"split": "val", "story": "s", "answers": ["he", "him"], "kind": "x"}
    assert loaded(load_prompts, row)[0][0].text == one.prompt
    none, skipped = loaded(load_demonstrations, row | {"answers": []})
    assert (none, skipped) == ([], ["line 1: there is no answer, so there is no demonstration"])


def test_instructions_with_instances_or_outputs(loaded):
    instances = [{"input": "", "output": "o1"}, {"input": "in", "output": "o2"}, {"input": "in", "output": " "}]
    rows = [{"instruction": "do", "instances": instances}, {"instruction": "do", "input": "in", "output": "out"}]
    records, _ = loaded(load_demonstrations, *rows)
    assert [(one.prompt, one.response) for one in records] == [("do", "o1"), ("do\n\nin", "o2"), ("do\n\nin", "out")]
    prompts, _ = loaded(load_prompts, *rows)
    assert [one.text for one in prompts] == ["do", "do\n\nin", "do\n\nin", "do\n\nin"]


@pytest.mark.parametrize(
    "row",
    [
        {"id": "d", "turns": [{"role": "user", "text": "1"}, {"role": "assistant", "text": "2"}]},
        {"id": "d", "conversations": [{"from": "human", "value": "1"}, {"from": "gpt", "value": "2"}]},
    ],
)
def test_dialogues_by_other_names(loaded, row):
    (one,), _ = loaded(load_demonstrations, row)
    assert (said(one), one.response, one.model_extra) == ([("user", "1")], "2", {"id": "d"})
    assert said(loaded(load_prompts, row)[0][0]) == [("user", "1")]


# --- files, folders, hub ---


def test_an_unknown_form_names_the_keys_and_the_forms(loaded, tmp_path):
    with pytest.raises(DataError) as caught:
        loaded(load_rankings, {"question": "q", "answer": "a"})
    assert str(caught.value).startswith(
        f"{tmp_path}/rows.jsonl contains no rankings in a known format. The nearest format is StackExchange, without "
        "'answers'. Keys seen: answer, question. Formats accepted: completions + ranking; prompt + completions + "
        "annotations; prompt {role, replies} (OASST); prompt + response_0 + response_1 (PKU-SafeRLHF); "
    )
    assert str(caught.value).endswith("; chosen + rejected (HH dialogues); prompt + chosen + rejected (TRL).")
    for loader, noun in ((load_demonstrations, "demonstrations"), (load_prompts, "prompts")):
        with pytest.raises(DataError, match=f"contains no {noun} in a known format. Keys seen: x. Formats accepted: "):
            loaded(loader, {"x": 1}, skip_bad=True)


def test_a_row_of_an_unknown_form_among_others_is_a_bad_record(loaded):
    rows = [{"text": "a"}, {"x": 1}, {"prompt": "b"}]
    with pytest.raises(
        RecordError, match=r"line 2: field '\(keys\)' is \['x'\]; they must be one of: prompt [+] .*; text\. "
    ):
        loaded(load_prompts, *rows)
    records, skipped = loaded(load_prompts, *rows, skip_bad=True)
    assert ([one.text for one in records], len(skipped)) == (["a", "b"], 1)


def test_a_folder_is_read_in_order_and_by_split(tmp_path):
    data = tmp_path / "set" / "data"
    data.mkdir(parents=True)
    for name, text in (
        ("train-00001.jsonl", "b"),
        ("train-00000.jsonl", "a"),
        ("test-00000.jsonl", "t"),
        ("more.jsonl", "m"),
    ):
        (data / name).write_text(json.dumps({"prompt": text}) + "\n")
    (data / "README.md").write_text("not data")
    assert [one.text for one in load_prompts(tmp_path / "set")] == ["m", "a", "b"]
    assert [one.text for one in load_prompts(tmp_path / "set", split="test")] == ["m", "t"]
    (data / "more.jsonl").unlink()
    with pytest.raises(
        DataError, match=r"no file of records for split 'valid'; files there: test-00000\.jsonl, train-0000"
    ):
        list(load_prompts(tmp_path / "set", split="valid"))


def test_a_parquet_file_gives_the_same_records(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    rows = [HH | {"prompt": None}, {"chosen": "a", "rejected": "b", "prompt": "p"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    first, second = load_rankings(tmp_path / "pairs.parquet")
    assert texts(first) == [["Fine."], [""]]
    assert (second.prompt, texts(second)) == ("p", [["a"], ["b"]])


def test_hub_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert parse_hub_id("hf:Anthropic/hh-rlhf") == HubId(name="Anthropic/hh-rlhf", config=None, split=None)
    assert parse_hub_id("owner/name:test") == HubId(name="owner/name", config=None, split="test")
    assert parse_hub_id("hf:owner/name/plain:test") == HubId(name="owner/name", config="plain", split="test")
    for path in ("runs/missing", "data/p.jsonl", "/abs/path", "./a/b", "../a", "name", "runs"):
        assert parse_hub_id(path) is None
    assert parse_hub_id("hf:runs/missing") is not None


def test_without_datasets_the_hub_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        DataError, match=r"'Anthropic/hh-rlhf' is read with the datasets package, .* 'tutelage\[data\]'"
    ):
        next(load_rankings("Anthropic/hh-rlhf"))


class _FakeDatasets:
    """Stands for the package `datasets`: one data set, or a hub that cannot be reached."""

    def __init__(self, rows):
        self.rows, self.asked = rows, None

    def load_dataset(self, name, config, *, split, streaming):
        self.asked = (name, config, split, streaming)
        if self.rows is None:
            raise ConnectionError("Couldn't reach the Hub.")
        return iter(self.rows)


def test_a_data_set_of_the_hub_is_streamed(monkeypatch):
    fake = _FakeDatasets([HH | {"prompt": None}])
    monkeypatch.setitem(sys.modules, "datasets", fake)
    (ranking,) = load_rankings("hf:Anthropic/hh-rlhf", split="test")
    assert texts(ranking) == [["Fine."], [""]]
    assert fake.asked == ("Anthropic/hh-rlhf", None, "test", True)
    list(load_rankings("hf:Anthropic/hh-rlhf:train"))
    assert fake.asked[2] == "train"


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", _FakeDatasets(None))
    with pytest.raises(DataError) as caught:
        list(load_rankings("hf:owner/name:test"))
    assert str(caught.value) == (
        "dataset 'owner/name' (split 'test') cannot be read after row 0: Couldn't reach the Hub. "
        "Check its name, its split and the connection, or give a local path."
    )


def test_a_folder_of_save_to_disk(tmp_path):
    datasets = pytest.importorskip("datasets")
    one = datasets.Dataset.from_list([{"prompt": "p", "chosen": "a", "rejected": "b"}])
    one.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict(train=one, test=one).save_to_disk(str(tmp_path / "two"))
    assert [texts(ranking) for ranking in load_rankings(tmp_path / "one")] == [[["a"], ["b"]]]
    assert len(list(load_rankings(tmp_path / "two", split="test"))) == 1
    with pytest.raises(DataError, match="has no split 'x'; it has 'train', 'test'"):
        list(load_rankings(tmp_path / "two", split="x"))


# --- documents ---


@pytest.mark.parametrize("suffix", [".txt", ".txt.xz"])
def test_documents_are_parted_by_their_marker(tmp_path, suffix):
    content = b"First\nline.\n\n<|endoftext|>\n\n <|endoftext|>\nSecond <|endoftext|> inside.\n"
    path = tmp_path / f"books{suffix}"
    path.write_bytes(lzma.compress(content) if suffix.endswith("xz") else content)
    assert list(load_text_documents(path)) == ["First\nline.", "Second <|endoftext|> inside."]


def test_documents_of_rows(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"text": "a"}\n{"text": " "}\n{"txt": "b"}\n{"text": "c"}\n')
    with pytest.raises(RecordError, match=r"d\.jsonl, line 3: field 'text' is None; it must be text"):
        list(load_text_documents(path))
    assert list(load_text_documents(path, skip_bad=True, on_skip=lambda _: None)) == ["a", "c"]


def test_documents_of_bad_files(tmp_path):
    (tmp_path / "d.txt").write_bytes(b"good\nb\xffd\nmore\n")
    with pytest.raises(RecordError, match=r"d\.txt, line 2: field '\(line\)' is .* it must be UTF-8"):
        list(load_text_documents(tmp_path / "d.txt"))
    assert list(load_text_documents(tmp_path / "d.txt", skip_bad=True, on_skip=lambda _: None)) == ["good\nmore"]
    (tmp_path / "d.txt.gz").write_bytes(b"plain")
    with pytest.raises(RecordError, match="corrupted or truncated"):
        list(load_text_documents(tmp_path / "d.txt.gz"))
    with pytest.raises(DataError, match=r"d\.pdf is not a file of documents: its name must end in \.txt"):
        list(load_text_documents(tmp_path / "d.pdf"))
