"""Label Studio's exports, shaped as the tool writes them: whose labels they are, which prompt, which completions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from sqlalchemy import select

from tutelage.errors import DataError
from tutelage.records import Demonstration
from tutelage.store.sources import load_demonstrations, load_rankings
from tutelage.studio.export import export_labels
from tutelage.studio.imports import Imported, import_labels, read_imported
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.people import people
from tutelage.studio.revision import history
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Item, Slot

ITEMS = [{"id": "x", "body": "An owl."}, {"id": "y", "body": "A cat."}, {"id": "z", "body": "A bat."}]
OTHERS = [{"id": "x", "body": "A rock."}, {"id": "y", "body": "A pond."}, {"id": "z", "body": "A tree."}]
ASK = {"prompt": "Name a bird."}
PAIR = {"prompt": "Name a tree.", "answer1": "An oak.", "answer2": "A brick."}
RANKER = """<View><Text name="what" value="$prompt"/><List name="answers" value="$items" title="All"/>
<Ranker name="rank" toName="answers"/><TextArea name="note" toName="what"/></View>"""


def result(kind: str, value: dict[str, Any], *, name: str, about: str, **more: Any) -> dict[str, Any]:
    shape = {"id": f"of-{name}", "from_name": name, "to_name": about, "type": kind, "origin": "manual"}
    return {**shape, "value": value, **more}


def rank(*ids: str, name: str = "rank", about: str = "answers") -> dict[str, Any]:
    return result("ranker", {"ranker": {name: list(ids)}}, name=name, about=about)


def choose(side: str, about: str = "pw") -> dict[str, Any]:
    # The control names itself in `to_name`.
    return result("pairwise", {"selected": side}, name="pw", about=about)


def write(*texts: str, name: str = "response", about: str = "prompt", **more: Any) -> dict[str, Any]:
    return result("textarea", {"text": list(texts), **more}, name=name, about=about)


def annotation(number: int, labeler: Any, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As version 1.23 exports it; `number` makes the unique id too."""
    shape = {"id": number, "completed_by": labeler, "result": list(results), "was_cancelled": False}
    times = {"created_at": "2026-11-27T12:06:58.037647Z", "updated_at": "2026-11-27T12:06:58.037682Z"}
    unique = f"e6e6d630-e2de-498b-bc13-{number:012d}"
    kept = {"ground_truth": False, "lead_time": 3.2, "prediction": {}, "unique_id": unique, "task": 1, "project": 1}
    return {**shape, **times, **kept, **more}


def task(number: int, data: dict[str, Any], *annotations: Any, project: int = 1) -> dict[str, Any]:
    shape = {"id": number, "annotations": list(annotations), "drafts": [], "predictions": [], "data": data, "meta": {}}
    return {**shape, "inner_id": number, "total_annotations": len(annotations), "project": project}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[list[Imported], list[str]]]:
    """Writes tasks to a file and reads them: what they give, and why the rest is left out."""

    def read_tasks(*tasks: Any, config: str = "", name: str = "export.json") -> tuple[list[Imported], list[str]]:
        path, told = _file(tmp_path, tasks, name), []
        xml = tmp_path / "config.xml" if config else None
        if xml is not None:
            xml.write_text(config)
        given = {} if xml is None else {"label_config": xml}
        found = list(read_imported(path, on_skip=lambda skipped: told.append(skipped.message), **given))
        return found, told

    return read_tasks


def _file(folder: Path, tasks: Any, name: str = "export.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(list(tasks)))
    return path


def _texts(each: Imported) -> list[list[str]]:
    text_of = {completion.id: completion.text for completion in each.task.completions}
    return [[text_of[one] for one in group] for group in each.label.ranking]


TWO_PEOPLE = [
    task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank("x", "z", "y")), annotation(2, 2, rank("x", "y", "z"))),
    task(2, {"prompt": "Name a cat.", "items": ITEMS}, annotation(3, 1, rank("y", "z", "x"))),
]


def test_a_copy_and_a_second_export_add_only_what_is_new(studio: Studio, tmp_path: Path) -> None:
    """Five labels of two people, whatever the files and batches are called."""
    first = _file(tmp_path, TWO_PEOPLE, "project-1-at-2026-11-27.json")
    assert import_labels(studio, read_imported(first), name=first.name).num_new == 3
    copy = import_labels(studio, read_imported(_file(tmp_path, TWO_PEOPLE, "copy.json")), name="copy.json")
    assert (copy.num_new, copy.num_known) == (0, 3)
    more = json.loads(json.dumps(TWO_PEOPLE))
    more[1]["annotations"] += [annotation(4, 2, rank("y", "x", "z"))]
    more += [
        task(3, {"prompt": "Name a bat.", "items": ITEMS}, annotation(5, {"id": 2, "email": "b@x.org"}, rank(*"zxy")))
    ]
    again = import_labels(studio, read_imported(_file(tmp_path, more, "second.json")), name="second")
    assert (again.num_new, again.num_known) == (2, 3)
    assert len(stored_labels(studio)) == 5 and len(people(studio)) == 2
    with studio.database.read() as session:
        assert len(session.scalars(select(Slot.id)).all()) == 5


def test_what_a_labeler_changed_since_is_replaced_and_an_older_export_does_not_undo_it(
    studio: Studio, tmp_path: Path
) -> None:
    old = [task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank("x", "z", "y")))]
    new = [task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank("y", "x", "z")))]
    import_labels(studio, read_imported(_file(tmp_path, old, "old.json")), name="old")
    done = import_labels(studio, read_imported(_file(tmp_path, new, "new.json")), name="new")
    assert (done.num_new, done.num_known, done.num_replaced) == (0, 0, 1)
    (row,) = stored_labels(studio)
    assert row.label.ranking == (("y",), ("x",), ("z",)) and row.num_changes == 1
    assert [label.ranking[0] for label in history(studio, row.id)] == [("x",), ("y",)]
    back = import_labels(studio, read_imported(_file(tmp_path, old, "old.json")), name="old")
    assert (back.num_replaced, list(back.left.values())) == (0, [1]) and "earlier version" in next(iter(back.left))
    assert stored_labels(studio)[0].label.ranking[0] == ("y",)


def test_a_label_stays_where_it_is_if_its_task_was_changed_since(studio: Studio, tmp_path: Path) -> None:
    import_labels(studio, read_imported(_file(tmp_path, TWO_PEOPLE)), name="a")
    edited = json.loads(json.dumps(TWO_PEOPLE))
    edited[0]["data"]["prompt"] = "Name any bird."
    done = import_labels(studio, read_imported(_file(tmp_path, edited)), name="b")
    assert (done.num_new, done.num_known) == (0, 1)
    assert list(done.left.values()) == [2] and "the task was changed" in next(iter(done.left))
    assert len(stored_labels(studio)) == 3
    with studio.database.read() as session:
        assert len(session.scalars(select(Item.id)).all()) == 2, "no task without a label"


def test_people_of_two_installations_are_told_apart_by_the_origin(studio: Studio, tmp_path: Path) -> None:
    """Both count their people from 1; the annotations have names of their own."""
    for origin, number in (("north", 1), ("south", 2)):
        tasks = [task(1, {**ASK, "items": ITEMS}, annotation(number, 1, rank("x", "z", "y")))]
        found = read_imported(_file(tmp_path, tasks))
        assert import_labels(studio, found, name="same", origin=origin).num_new == 1
    assert len(people(studio)) == 2


def test_two_labels_of_one_labeler_for_one_task_are_told(studio: Studio, tmp_path: Path) -> None:
    tasks = [
        task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank("x", "z", "y")), annotation(2, 1, rank("y", "z", "x")))
    ]
    done = import_labels(studio, read_imported(_file(tmp_path, tasks)), name="a")
    assert done.num_new == 1 and list(done.left.values()) == [1] and "another label" in next(iter(done.left))
    same = [task(9, {**ASK, "items": ITEMS}, annotation(9, 1, rank("x", "z", "y")))]
    again = import_labels(studio, read_imported(_file(tmp_path, same)), name="a")
    assert (again.num_new, again.num_known, again.left) == (0, 1, {})


@pytest.mark.parametrize(
    ("results", "data", "reason"),
    [
        ([rank("x", "z", "y"), write("Close.", name="note")], {**ASK, "items": ITEMS}, "may be a comment"),
        ([write("Close.", name="note"), choose("left")], PAIR, "may be a comment"),
        ([write("Close.", name="note")], PAIR, "holds responses already"),
        ([write("Close.", name="note")], {**ASK, "items": ITEMS}, "holds responses already"),
        ([write("Too short.", name="critique")], {**ASK, "response": "An owl."}, "holds responses already"),
        ([write("Q12", name="entity", start=0, end=4)], ASK, "about a region"),
        ([write("An owl."), write("Nice work.", name="note")], ASK, "may be a comment"),
        ([write("An owl.", "A crow.")], ASK, "several texts"),
        ([write("  ")], ASK, "blank"),
    ],
)
def test_a_text_that_may_be_no_response_is_no_demonstration(
    read: Callable[..., Any], results: list[Any], data: dict[str, Any], reason: str
) -> None:
    found, told = read(task(1, data, annotation(1, 1, *results)))
    assert not [each for each in found if each.task.kind == "demonstrate"]
    assert any(reason in message for message in told)


def test_a_control_that_a_task_leaves_open_is_known_from_the_others(read: Callable[..., Any]) -> None:
    """The first task's note is all that its labeler left there; that there is a choice too shows in the second."""
    choice = result("choices", {"choices": ["good"]}, name="quality", about="prompt")
    found, told = read(
        task(1, ASK, annotation(1, 1, write("Odd.", name="note"))), task(2, ASK, annotation(2, 1, choice))
    )
    assert found == [] and "may be a comment" in told[0] and "'choices'" in told[1]


def test_what_an_annotation_holds_often_is_told_once(read: Callable[..., Any]) -> None:
    spans = [result("labels", {"start": place, "end": 9, "labels": ["a"]}, name="ner", about="p") for place in (1, 2)]
    found, told = read(task(1, ASK, annotation(1, 1, *spans)))
    assert found == [] and len(told) == 1


def test_texts_are_whole_whether_a_list_or_not(read: Callable[..., Any]) -> None:
    plain = result("textarea", {"text": "An owl."}, name="response", about="prompt")
    found, told = read(task(1, ASK, annotation(1, 1, plain), annotation(2, 2, write("A crow,\nI think."))))
    assert [each.label.fields["response"] for each in found] == ["An owl.", "A crow,\nI think."] and not told


TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
ASKED = [*TURNS, {"role": "user", "content": "Name a bird."}]


@pytest.mark.parametrize(
    ("data", "prompt"),
    [
        ({"text": "Owls hunt.", "question": "When?"}, "Owls hunt.\n\nWhen?"),
        ({"question": "When?", "context": "Owls hunt."}, "Owls hunt.\n\nWhen?"),
        ({"documents": ["Owls.", "Bats."], "query": "When?"}, "Owls.\n\nBats.\n\nWhen?"),
        ({"instruction": "Name one.", "input": "Birds."}, "Name one.\n\nBirds."),
        ({"prompt": "Say hi.", "source": "web", "doc_id": 7, "url": "https://x.org/a"}, "Say hi."),
        ({"prompt": ASKED}, ASKED),
        ({"messages": TURNS, "prompt": "Name a bird."}, ASKED),
        ({"history": TURNS, "prompt": "Name a bird."}, ASKED),
        ({"history": [["Hi", "Hello."]], "prompt": "Name a bird."}, ASKED),
        ({"prompt": "Hi", "system": "Be brief."}, [{"role": "system", "content": "Be brief."}, TURNS[0]]),
    ],
)
def test_passages_and_turns_stand_before_the_prompt(
    read: Callable[..., Any], data: dict[str, Any], prompt: Any
) -> None:
    found, told = read(task(1, data, annotation(1, 1, write("At night."))))
    assert not told
    (asked,) = [each.task.prompt for each in found]
    assert (asked.text or [turn.model_dump() for turn in asked.messages]) == prompt


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"prompt": ASKED, "text": "Something else."}, "belongs in the dialogue"),
        ({"messages": ASKED, "prompt": "Something else."}, "which is last is not known"),
        ({"prompt": "Sum it up.", "text": "Owls hunt at night."}, "'text' is a passage"),
        ({"prompt": "Sum it up.", "notes": "Owls hunt at night."}, "whether 'notes' is part"),
        ({"prompt": "Sum it up.", "said": [{"author": "Ada", "text": "Owls hunt."}]}, "whether 'said' is part"),
        ({"prompt": "One?", "question": "Two?"}, "which of them is the prompt"),
        ({"prompt": TURNS}, "does not end with the user"),
        ({"messages": ASKED, "passage": "Owls hunt."}, "belongs in the dialogue"),
        ({"messages": ASKED, "dialogue": TURNS, "prompt": "Hi"}, "all dialogues"),
        ({"prompt": "What is it?", "image": "a.png"}, "'image'"),
        ({"prompt": [{"role": "tool", "content": "3"}]}, "does not end with the user"),
        ({"prompt": [{"role": "judge", "content": "3"}]}, "cannot be read"),
        ({"prompt": {"a": 1}}, "neither text nor a dialogue"),
        ({"source": "x"}, "there is no prompt"),
        ({"text": "Owls hunt at night."}, "'text' is not a prompt"),
        ({"messages": TURNS, "text": "Name a bird."}, "belongs in the dialogue"),
        ({"prompt": "Use it in a sentence.", "word": "owl"}, "whether 'word' is part"),
        ({"prompt": "Double it.", "number": 21}, "whether 'number' is part"),
        ({"prompt": "Translate it.", "source": "Guten Morgen"}, "whether 'source' is part"),
        (
            {"prompt": "Sum it up.", "source": "\u732b\u982d\u9df9\u5728\u591c\u9593\u72e9\u7375"},
            "whether 'source' is part",
        ),
    ],
)
def test_a_prompt_that_may_not_be_whole_is_refused(read: Callable[..., Any], data: dict[str, Any], reason: str) -> None:
    found, told = read(task(1, data, annotation(1, 1, write("At night.")), annotation(2, 2, write("By day."))))
    assert found == [] and len(told) == 2 and all(reason in message for message in told)


def test_the_ranked_list_is_the_one_that_is_named(read: Callable[..., Any]) -> None:
    data = {**ASK, "first": OTHERS, "items": ITEMS}
    found, told = read(task(1, data, annotation(1, 1, rank("x", "z", "y", about="items"))))
    assert not told and _texts(found[0]) == [["An owl."], ["A bat."], ["A cat."]]
    found, told = read(task(1, data, annotation(1, 1, rank("x", "z", "y"))))
    assert found == [] and "which list was ranked is not known, there are 2" in told[0]
    config = RANKER.replace("</View>", '<List name="first" value="$first"/><Ranker name="r" toName="first"/></View>')
    found, told = read(task(1, data, annotation(1, 1, rank("x", "z", "y"))), config=config)
    assert not told and _texts(found[0])[0] == ["An owl."] and found[0].task.prompt.text == "Name a bird."


def test_another_list_may_be_what_the_labeler_read(read: Callable[..., Any]) -> None:
    data = {**ASK, "found": [{"id": 7, "body": "Owls are birds."}], "answers": ITEMS}
    found, told = read(task(1, data, annotation(1, 1, rank("x", "z", "y"))))
    assert found == [] and "whether 'found' is part of the prompt" in told[0]


def test_the_only_list_is_the_ranked_one_with_all_that_was_shown_of_an_item(read: Callable[..., Any]) -> None:
    items = [{"id": 1, "title": "Owl", "body": "It hoots."}, {"id": 2, "title": "Cat", "body": "It purrs."}]
    found, told = read(task(1, {**ASK, "items": items}, annotation(1, 1, rank("2", "1"))))
    assert not told and _texts(found[0]) == [["Cat\nIt purrs."], ["Owl\nIt hoots."]]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (rank("x", "z"), "names 2 ids"),
        (rank("x", "z", "q"), "names 3 ids"),
        (result("ranker", {"ranker": {"good": ["x", "y", "z"]}}, name="rank", about="answers"), "buckets"),
        (result("ranker", {"ranker": {"_": ["x"], "good": ["y", "z"]}}, name="rank", about="answers"), "buckets"),
    ],
)
def test_a_ranking_that_is_not_whole_is_told_beside_a_whole_one(
    read: Callable[..., Any], given: dict[str, Any], reason: str
) -> None:
    found, told = read(task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank(*"xyz")), annotation(2, 2, given)))
    assert len(found) == 1 and len(told) == 1 and "annotation 2: " in told[0] and reason in told[0]


@pytest.mark.parametrize("name", ["harmless", "rank"])
def test_two_rankings_of_the_same_list_do_not_count(read: Callable[..., Any], name: str) -> None:
    """By two controls, or twice by one."""
    found, told = read(task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank(*"xyz"), rank(*"zyx", name=name))))
    assert found == [] and len(told) == 1 and "more than once" in told[0]


def test_rankings_by_two_criteria_do_not_mix_whoever_made_them(read: Callable[..., Any]) -> None:
    """Each labeler answers one of two rankers, one of them in another task: which of the two counts nobody says."""
    data = {**ASK, "items": ITEMS}
    tasks = [
        task(1, data, annotation(1, 1, rank(*"xyz", name="helpful"))),
        task(2, data, annotation(2, 2, rank(*"zyx", name="harmless"))),
    ]
    found, told = read(*tasks)
    assert found == [] and len(told) == 2 and all("more than once" in message for message in told)
    second = '<List name="found" value="$first"/><Ranker name="{}" toName="{}"/></View>'
    for objects, number in (("answers", 0), ("found", 1)):
        config = RANKER.replace("</View>", second.format("harmless", objects))
        found, told = read(task(1, data, annotation(1, 1, rank(*"xyz"))), config=config)
        assert len(found) == number and len(told) == 1 - number, "the configuration shows a ranker that nobody used"
    (apart, _) = read(
        task(1, data, annotation(1, 1, rank(*"xyz"))),
        task(2, data, annotation(2, 2, rank(*"zyx", name="b")), project=2),
    )
    assert len(apart) == 2, "two projects"


def test_a_ranker_of_a_list_that_nobody_knows_may_rank_the_same(read: Callable[..., Any]) -> None:
    known, unknown = rank(*"xzy", about="items"), rank(*"xyz", name="second", about="answers")
    data = {**ASK, "first": OTHERS, "items": ITEMS}
    found, told = read(task(1, data, annotation(1, 1, known), annotation(2, 2, unknown)))
    assert found == [] and "more than once" in told[0] and "which list was ranked" in told[1]


def test_a_ranking_by_a_control_that_the_configuration_has_not_is_left_out(read: Callable[..., Any]) -> None:
    """The interface was changed since."""
    found, told = read(task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank(*"xyz", name="old"))), config=RANKER)
    assert found == [] and "no control named 'old'" in told[0]


def test_pairs_by_two_criteria_do_not_mix(read: Callable[..., Any]) -> None:
    config = PAIRWISE.replace("</View>", '<Pairwise name="safe" toName="first,second"/></View>')
    found, told = read(task(1, PAIR, annotation(1, 1, choose("left"))), config=config)
    assert found == [] and "more than once" in told[0]


def test_a_skipped_task_is_told_as_skipped(read: Callable[..., Any]) -> None:
    found, told = read(
        task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank(*"xyz")), annotation(2, 2, was_cancelled=True))
    )
    assert len(found) == 1 and len(told) == 1 and "skipped the task" in told[0]


PAIRWISE = """<View><Text name="q" value="$prompt"/><Pairwise name="pw" toName="second,first"/>
<Text name="first" value="$answer1"/><Text name="second" value="$answer2"/></View>"""


def test_the_sides_of_a_pair_are_those_of_the_configuration(read: Callable[..., Any]) -> None:
    """The left side is the second answer here; without the configuration nobody knows."""
    tasks = task(1, PAIR, annotation(1, 1, choose("left")))
    assert _texts(read(tasks, config=PAIRWISE)[0][0]) == [["A brick."], ["An oak."]]
    found, told = read(tasks)
    assert found == [] and "left and the right side is not known" in told[0]
    named = task(1, PAIR, annotation(1, 1, choose("left", about="answer2,answer1")))
    assert _texts(read(named)[0][0]) == [["A brick."], ["An oak."]]


def test_a_pair_that_may_be_of_other_texts_is_left_out(read: Callable[..., Any]) -> None:
    two_pairs = {**PAIR, "text1": "One.", "text2": "Two."}
    found, told = read(task(1, two_pairs, annotation(1, 1, choose("left"))))
    assert found == [] and "left and the right side is not known" in told[0]


def test_the_configuration_says_what_was_shown(read: Callable[..., Any]) -> None:
    """A passage under `text` beside a prompt; a key that nobody saw; an image; a text about regions."""
    config = '<View><Text name="t" value="$text"/><Text name="p" value="$prompt"/>{}</View>'
    asks = '<TextArea name="response" toName="p"/>'
    data = {"text": "Owls hunt at night.", "prompt": "Sum it up.", "notes": "Not shown to anybody."}
    tasks = task(1, data, annotation(1, 1, write("They hunt.")))
    ((each,), told) = read(tasks, config=config.format(asks))
    assert not told and each.task.prompt.text == "Owls hunt at night.\n\nSum it up."
    for more, reason in (
        (asks + '<Image name="i" value="$url"/>', "more than text"),
        (asks + '<Text name="n" value="$notes"/>', "whether 'notes'"),
        (asks + '<Choices name="c" toName="p"><Choice value="$options"/></Choices>', "may be a comment"),
        ('<TextArea name="response" toName="p" perRegion="true"/>', "no control"),
        ('<TextArea name="another" toName="p"/>', "no control"),
    ):
        found, told = read(tasks, config=config.format(more))
        assert found == [] and reason in told[0]


@pytest.mark.parametrize(
    ("shown", "asks", "data", "reason"),
    [
        (
            '<Text name="prompt" value="$prompt"/>',
            '<TextArea name="instruction" toName="prompt" maxSubmissions="1" required="true"/>',
            ASK,
            "",
        ),
        (
            '<Header value="Please read the text"/><Text name="text" value="$text"/>',
            '<Header value="Provide one sentence summary"/><TextArea name="answer" toName="text" editable="true"/>',
            {"text": "Owls hunt at night."},
            "'text' is not a prompt",
        ),
        (
            '<Header value="Read the sentence in English"/><Text name="english" value="$english"/>',
            '<Header value="Provide translation in Spanish"/><TextArea name="spanish" toName="english"/>',
            {"english": "Owls hunt at night."},
            "whether 'english' is part",
        ),
        (
            '<Paragraphs name="chat" value="$dialogue" layout="dialogue"/>',
            '<Header value="Provide response"/><TextArea name="response" toName="chat" rows="4"/>',
            {"dialogue": [{"author": "Alice", "text": "Hi, Bob."}]},
            "whether 'dialogue' is part",
        ),
    ],
    ids=["supervised", "summarization", "translation", "response"],
)
def test_the_tools_own_templates_give_no_response_without_its_instruction(
    read: Callable[..., Any], shown: str, asks: str, data: dict[str, Any], reason: str
) -> None:
    """The templates of version 1.23: what was to be done with a text stands in a header there, not in the export."""
    name = asks.split('TextArea name="')[1].split('"')[0]
    tasks = task(1, data, annotation(1, 1, write("They do.", name=name)))
    for config in ("", f"<View>{shown}{asks}</View>"):
        found, told = read(tasks, config=config)
        assert [each.task.kind for each in found] == ([] if reason else ["demonstrate"])
        assert [reason in message for message in told] == ([True] if reason else [])


def test_a_response_that_nobody_saw_is_none_that_a_text_is_about(read: Callable[..., Any]) -> None:
    config = '<View><Text name="p" value="$prompt"/><TextArea name="response" toName="p"/></View>'
    tasks = task(1, {**ASK, "answer": "An owl."}, annotation(1, 1, write("A crow.")))
    found, told = read(tasks, config=config)
    assert not told and found[0].label.fields["response"] == "A crow."
    assert "holds responses already" in read(tasks)[1][0]


def test_what_is_not_the_right_file_is_told(read: Callable[..., Any], tmp_path: Path) -> None:
    tasks = task(1, PAIR, annotation(1, 1, choose("left")))
    for config in ("<View><Text</View>", '{"fields": []}', "what"):
        with pytest.raises(DataError, match="not a labeling configuration"):
            read(tasks, config=config)
    with pytest.raises(DataError, match="not an export of the tool"):
        read(tasks, config='{"fields": [], "questions": []}')
    minimal = {**ASK, "id": 5, "response": "An owl.", "annotator": 2, "annotation_id": 9, "lead_time": 3.2}
    with pytest.raises(DataError, match="JSON-MIN"):
        read(minimal)


@pytest.mark.parametrize("broken", [7, {}, {"result": "x"}, {"result": [3]}, {"result": [{"type": "ranker"}]}])
def test_annotations_that_are_none_are_told(read: Callable[..., Any], broken: Any) -> None:
    found, told = read(task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank("x", "z", "y")), broken))
    assert len(found) == 1 and len(told) == 1


def test_what_was_taken_in_is_what_is_exported(studio: Studio, tmp_path: Path) -> None:
    tasks = [
        task(1, {**ASK, "items": ITEMS}, annotation(1, 1, rank("x", "z", "y")), annotation(2, 2, was_cancelled=True)),
        task(2, PAIR, annotation(3, 2, choose("right", about="answer1,answer2")), project=2),
        task(3, {"prompt": "Name a fish."}, annotation(4, 1, write("A pike.")), project=3),
    ]
    import_labels(studio, read_imported(_file(tmp_path, tasks)), name="a")
    export_labels(studio, tmp_path / "out")
    first, second = load_rankings(tmp_path / "out/rankings.jsonl")
    assert first.ranking == (("x",), ("z",), ("y",)) and second.ranking == (("answer2",), ("answer1",))
    (written,) = load_demonstrations(tmp_path / "out/demonstrations.jsonl")
    assert isinstance(written, Demonstration) and written.response == "A pike."
    assert written.labeler_id == first.labeler_id != second.labeler_id
