"""Taking labels out: people's labels train models; selections, TRL's pairs, Parquet, splits by user, the manifest."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from studio_world import Browser, Clock, person, queue, task
from tutelage.labeling.tasks import Task
from tutelage.records import Completion, Message, Prompt
from tutelage.store.jsonl import read_records
from tutelage.store.sources import load_demonstrations, load_rankings
from tutelage.studio.export import export_labels
from tutelage.studio.studio import Refusal, Studio

if TYPE_CHECKING:
    from tiny import Tiny

PLACES = ("the barn", "the mill", "the well", "the hill")


def _prompt(number: int, **known: Any) -> Prompt:
    return Prompt(id=f"p{number}", text=f"{number}: where is the cat?", user_id=f"u{number % 5}", **known)


def _ranked(number: int, k: int = 3) -> Task:
    completions = tuple(Completion(id=f"c{place}", text=f"At {PLACES[place]}.", policy="tiny") for place in range(k))
    return Task(kind="evaluate", prompt=_prompt(number), completions=completions)


def _rank_on_pages(browser: Browser, *, has_tie: bool = False) -> None:
    """Rate each completion, rank them by their texts as shown; all through the pages."""
    shown = {}
    browser.send("/tasks/evaluate")
    while not browser.page.url.path.endswith("/ranking"):
        letter = browser.page.url.path[-1]
        (text,) = [place for place in PLACES if f"At {place}." in browser.page.text]
        shown[letter] = PLACES.index(text) + 1
        browser.send(None, overall=str(7 - shown[letter]), go="next")
    if has_tie:
        shown = {letter: min(rank, 2) for letter, rank in shown.items()}
    browser.send(None, **{f"rank__{letter}": str(rank) for letter, rank in shown.items()}, go="submit")
    assert browser.page.url.path == "/"


def test_what_people_label_on_the_pages_trains_a_reward_model_and_a_policy(
    studio: Studio, tmp_path: Path, tiny: Tiny
) -> None:
    pytest.importorskip("torch", reason="the stages train")
    from processes import tutelage

    person(studio, "Ada")
    queue(studio, *(_ranked(number) for number in range(6)))
    queue(studio, *(Task(kind="demonstrate", prompt=_prompt(number)) for number in range(10, 15)))
    browser = Browser(studio)
    browser.sign_in("Ada")
    for number in range(6):
        _rank_on_pages(browser, has_tie=number == 0)
    for number in range(5):
        browser.send("/tasks/demonstrate")
        assert browser.send(None, response=f"At {PLACES[number % 4]}.", go="submit").url.path == "/"
    out = tmp_path / "labels"
    exported = tutelage("label", "export", "--data", tmp_path / "studio", "--out", out, folder=tmp_path / "export")
    assert exported.status == 0, exported.stderr
    rankings = list(load_rankings(out / "rankings.jsonl"))
    assert [ranking.ranking for ranking in rankings[1:]] == [(("c0",), ("c1",), ("c2",))] * 5
    assert {frozenset(group) for group in rankings[0].ranking} == {frozenset({"c0"}), frozenset({"c1", "c2"})}

    text = "{max_prompt_tokens: 40, max_response_tokens: 16}"
    stages = {
        "reward": f"model: {tiny.policy}\nrankings: {out}/rankings.jsonl\ndemonstrations: {out}/demonstrations.jsonl\n",
        "sft": f"model: {tiny.policy}\ndemonstrations: {out}/demonstrations.jsonl\nnum_epochs: 1\n",
    }
    for stage, settings in stages.items():
        config = tmp_path / f"{stage}.yaml"
        validation = f"validation: {out}/{'rankings' if stage == 'reward' else 'demonstrations'}.jsonl\n"
        validation += "allow_prompt_overlap: true\n"
        config.write_text(f"out: {tmp_path / stage}\ntext: {text}\ndevice: cpu\n{settings}{validation}")
        done = tutelage(stage, config, folder=tmp_path / f"{stage}-log")
        assert done.status == 0, done.stderr
        assert (tmp_path / stage / "model" / "model.safetensors").exists()


def _labeled(studio: Studio) -> None:
    """Two labelers, two batches, a tie, a dialogue, a written response."""
    ada, eve = person(studio, "Ada"), person(studio, "Eve", group="heldout")
    queue(studio, *(_ranked(number, k=4) for number in range(3)), name="first")
    queue(studio, Task(kind="demonstrate", prompt=_prompt(9)), name="second", priority=-1)
    queue(studio, task("compare", number=20), name="blind", purpose="evaluation")
    for user in (ada, eve):
        browser = Browser(studio)
        browser.sign_in(user.name)
        if user is eve:
            browser.send("/tasks/compare")
            browser.send(None, preference="tie", go="submit")
            continue
        for number in range(3):
            _rank_on_pages(browser, has_tie=number == 1)
        browser.send("/tasks/demonstrate")
        browser.send(None, response="At the barn.", go="submit")


def test_an_export_is_of_a_purpose_a_group_or_a_batch_and_says_so(studio: Studio, clock: Clock, tmp_path: Path) -> None:
    _labeled(studio)
    whole = export_labels(studio, tmp_path / "all")
    assert whole.counts == {"comparisons.jsonl": 1, "demonstrations.jsonl": 1, "rankings.jsonl": 4, "ratings.jsonl": 12}
    assert whole.batches == {"first": 3, "second": 1, "blind": 1}
    assert whole.kinds == {"evaluate": 3, "demonstrate": 1, "compare": 1}
    assert Counter(whole.labeler_groups.values()) == {"training": 1, "heldout": 1}
    assert whole.preferences == {"secret-policy-1 against secret-policy-2": {"won": 0, "lost": 0, "tied": 1}}
    assert whole.num_ties == 4, "three tied pairs of completions among four, and a comparison"
    assert whole.first_label_at == whole.last_label_at == clock().isoformat()
    for name, digest in whole.sha256.items():
        assert hashlib.sha256((tmp_path / "all" / name).read_bytes()).hexdigest() == digest
    chosen = [({"batch": "second"}, 1), ({"batch": "1"}, 3), ({"group": "heldout"}, 1), ({"purpose": "training"}, 4)]
    for number, (selection, num_labels) in enumerate(chosen):
        assert export_labels(studio, tmp_path / str(number), **selection).num_labels == num_labels, selection
    with pytest.raises(Refusal, match="no batch 'third'"):
        export_labels(studio, tmp_path / "none", batch="third")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("policies", [(None, None), ("same", "same"), ("a", None)])
def test_nobody_won_where_the_two_sides_have_no_names_of_their_own(
    studio: Studio, tmp_path: Path, policies: tuple[str | None, str | None]
) -> None:
    person(studio, "Ada")
    for number in range(3):
        named = zip(("answer1", "answer2"), policies, strict=True)
        pair = tuple(Completion(id=name, text=f"{name}, {number}", policy=policy) for name, policy in named)
        queue(studio, Task(kind="compare", prompt=_prompt(number), completions=pair))
    browser = Browser(studio)
    browser.sign_in("Ada")
    for number in range(3):
        browser.send("/tasks/compare")
        # The better one always has the first name; the last comparison is a tie.
        letter = "A" if browser.page.text.index("answer1,") < browser.page.text.index("answer2,") else "B"
        browser.send(None, preference="tie" if number == 2 else letter, go="submit")
    counted = export_labels(studio, tmp_path / "out").preferences
    if policies[0] == "a":
        assert counted == {"unnamed against a": {"won": 0, "lost": 2, "tied": 1}}
    else:
        name = policies[0] or "unnamed"
        assert counted == {f"{name} against {name}": {"decided": 2, "tied": 1}}


def test_every_record_says_how_it_came_about(studio: Studio, tmp_path: Path) -> None:
    _labeled(studio)
    export_labels(studio, tmp_path / "out", batch="first")
    row = json.loads((tmp_path / "out/rankings.jsonl").read_text().splitlines()[0])
    assert row["labeler_group"] == "training" and row["user_id"] == "u0" and len(row["display_order"]) == 4
    origin = row["provenance"]
    assert (origin["batch"], origin["guideline"]) == ("first", "evaluate, training, version 1")
    assert origin["ui_version"] and origin["labeled_at"] and origin["display_seed"] == 7


def _label_dialogue(studio: Studio) -> None:
    messages = (Message(role="user", content="Hi"), Message(role="assistant", content="Yes?"))
    dialogue = Prompt(id="p0", messages=(*messages, Message(role="user", content="Where?")))
    pair = (Completion(id="a", text="There."), Completion(id="b", text="Here."))
    queue(studio, Task(kind="compare", prompt=dialogue, completions=pair))
    browser = Browser(studio)
    browser.sign_in("Ada")
    browser.send("/tasks/compare")
    assert "Where?" in browser.page.text
    browser.send(None, preference="A", go="submit")


@pytest.mark.parametrize("reader", ["pyarrow.json", "datasets"])
def test_text_prompts_and_dialogues_of_one_export_load_together(studio: Studio, tmp_path: Path, reader: str) -> None:
    """`datasets` reads JSON through Arrow, where text beside lists under one key is an error."""
    module = pytest.importorskip(reader, reason="Arrow is an extra")
    _labeled(studio)
    _label_dialogue(studio)
    export_labels(studio, tmp_path / "out", file_format="trl")
    for name in ("preferences", "ties", "demonstrations"):
        path = tmp_path / f"out/{name}.jsonl"
        if reader == "datasets":
            cache = str(tmp_path / "cache")
            table = module.load_dataset("json", data_files=str(path), split="train", cache_dir=cache).data.table
        else:
            table = module.read_json(path)
        assert table.num_rows == len(path.read_text().splitlines()) > 0
        assert str(table.schema.field("prompt").type) == "list<item: struct<role: string, content: string>>", name


def test_trl_pairs_of_a_prompt_stand_together_and_ties_apart(studio: Studio, tmp_path: Path) -> None:
    _labeled(studio)
    _label_dialogue(studio)
    manifest = export_labels(studio, tmp_path / "out", file_format="trl")
    rows = [json.loads(line) for line in (tmp_path / "out/preferences.jsonl").read_text().splitlines()]
    order = [row["prompt_id"] for row in rows]
    assert order == sorted(order), "all pairs of a prompt follow each other"
    # Four completions give six pairs; with three of them tied, three.
    assert Counter(order) == {"p0": 6 + 1, "p1": 3, "p2": 6}
    # One form per file, as `datasets` asks: beside a dialogue, a text is a dialogue of one turn.
    for name in ("preferences", "ties", "demonstrations"):
        written = [json.loads(line) for line in (tmp_path / f"out/{name}.jsonl").read_text().splitlines()]
        sides = [row[key] for row in written for key in ("prompt", "chosen", "rejected", "completion") if key in row]
        assert all(isinstance(side, list) and side[-1]["content"] for side in sides), name
    assert next(row["prompt"] for row in rows if row["prompt_id"] == "p1") == [
        {"role": "user", "content": "1: where is the cat?"}
    ]
    (chat,) = [row for row in rows if len(row["prompt"]) > 1]
    assert chat["prompt"][-1] == {"role": "user", "content": "Where?"} and chat["chosen"][0]["role"] == "assistant"
    ties = [json.loads(line) for line in (tmp_path / "out/ties.jsonl").read_text().splitlines()]
    assert len(ties) == manifest.num_ties and all(tie["is_tie"] for tie in ties)
    assert len(list(load_rankings(tmp_path / "out/preferences.jsonl"))) == len(rows), "our own reader takes it"
    (demonstration,) = load_demonstrations(tmp_path / "out/demonstrations.jsonl")
    assert demonstration.response == "At the barn."


def test_parquet_holds_the_same_records(studio: Studio, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet is an extra")
    _labeled(studio)
    lines = export_labels(studio, tmp_path / "lines")
    tables = export_labels(studio, tmp_path / "tables", file_format="parquet")
    assert list(tables.counts.values()) == list(lines.counts.values())
    assert sorted(path.suffix for path in (tmp_path / "tables").iterdir()) == [".json", *[".parquet"] * 4]
    read = [list(load_rankings(tmp_path / each)) for each in ("lines/rankings.jsonl", "tables/rankings.parquet")]
    assert read[0] == read[1]


def test_a_table_for_spreadsheets_holds_every_record_and_no_formula(studio: Studio, tmp_path: Path) -> None:
    person(studio, "Ada")
    queue(studio, Task(kind="demonstrate", prompt=Prompt(id="p", text='=HYPERLINK("http://evil.example")')))
    queue(studio, _ranked(1))
    browser = Browser(studio)
    browser.sign_in("Ada")
    browser.send("/tasks/demonstrate")
    browser.send(None, response="+cmd|' /C calc'!A0", go="submit")
    _rank_on_pages(browser)
    manifest = export_labels(studio, tmp_path / "out", file_format="csv")
    assert manifest.counts == {"demonstrations.csv": 1, "rankings.csv": 1, "ratings.csv": 3}
    tables = {
        name: list(csv.DictReader(io.StringIO((tmp_path / "out" / name).read_text("utf-8-sig"), newline="")))
        for name in manifest.counts
    }
    assert [len(rows) for rows in tables.values()] == [1, 1, 3]
    (written,) = tables["demonstrations.csv"]
    assert written["prompt"].startswith("'=HYPER") and written["response"].startswith("'+cmd")
    assert json.loads(tables["rankings.csv"][0]["ranking"]) == [["c0"], ["c1"], ["c2"]]
    assert {row["overall"] for row in tables["ratings.csv"]} == {"4", "5", "6"}


def test_all_prompts_of_a_user_are_in_one_file_and_a_known_split_is_kept(studio: Studio, tmp_path: Path) -> None:
    person(studio, "Ada")
    queue(studio, *(Task(kind="demonstrate", prompt=_prompt(number)) for number in range(40)))
    queue(studio, Task(kind="demonstrate", prompt=Prompt(id="kept", text="kept", user_id="u0", split="test")))
    browser = Browser(studio)
    browser.sign_in("Ada")
    for _ in range(41):
        browser.send("/tasks/demonstrate")
        browser.send(None, response="At the barn.", go="submit")
    manifest = export_labels(studio, tmp_path / "out", validation_share=0.4)
    users = {
        name: {record.model_extra["user_id"] for record in load_demonstrations(tmp_path / "out" / name)}
        for name in manifest.counts
    }
    assert manifest.counts["demonstrations_test.jsonl"] == 1
    training, validation = users["demonstrations.jsonl"], users["demonstrations_valid.jsonl"]
    assert training and validation and not training & validation
    assert training | validation == {f"u{number}" for number in range(5)}


def test_toxicity_labels_are_rows_of_their_own(studio: Studio, tmp_path: Path) -> None:
    from tutelage.labeling.exported import ToxicityRow

    person(studio, "Ada")
    queue(studio, task("toxicity", k=2))
    browser = Browser(studio)
    browser.sign_in("Ada")
    browser.send("/tasks/toxicity")
    browser.send(None, prompt_toxicity="1", go="next")
    for toxicity in "20":
        browser.send(None, toxicity=toxicity, relative_toxicity="-1", continuity="4", go="next")
    browser.send(None, rank__A="2", rank__B="1", go="submit")
    assert export_labels(studio, tmp_path / "out").counts == {"toxicity.jsonl": 2}, "an order by toxicity is no ranking"
    rows = list(read_records(tmp_path / "out/toxicity.jsonl", ToxicityRow))
    assert sorted((row.toxicity, row.rank, row.prompt_toxicity) for row in rows) == [(0, 1, 1), (2, 2, 1)]
