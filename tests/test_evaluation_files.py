"""`tutelage sample` and `tutelage score`: which lines are read, and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from typer.testing import CliRunner

from tiny import CONTEXT, Tiny, read_rows, write_rows
from tutelage.cli import app
from tutelage.errors import ConfigError, DataError, ModelError, RecordError
from tutelage.evaluation.files import FileChoices, sample_file, score_file
from tutelage.model.loading import device_of, load_policy, load_tokenizer
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Prompt
from tutelage.store.sources import load_rankings
from tutelage.text.render import make_renderer

SHORT = SamplingSettings(max_response_tokens=8)
LONG = "where " * CONTEXT


def _sampled(tiny: Tiny, prompts: Path, out: Path, choices: FileChoices) -> int:
    return sample_file(tiny.policy, str(prompts), out, k=2, name="tiny", settings=SHORT, seed=0, choices=choices)


def test_a_long_prompt_is_refused_or_left_out(tiny: Tiny, tmp_path: Path) -> None:
    prompts = write_rows(tmp_path / "prompts.jsonl", [{"text": "who?"}, {"id": "p2", "text": LONG}, {"text": "why?"}])
    with pytest.raises(DataError, match=r"prompt p2 has \d+ tokens; .* room for 88.* --too-long skip"):
        _sampled(tiny, prompts, tmp_path / "out.jsonl", FileChoices())
    assert not (tmp_path / "out.jsonl").exists()
    choices = FileChoices(too_long="skip")
    assert _sampled(tiny, prompts, tmp_path / "out.jsonl", choices) == 2
    assert [row["prompt"] for row in read_rows(tmp_path / "out.jsonl")] == ["who?", "why?"]
    assert len(choices.left_out) == 1 and choices.left_out[0].startswith("prompt p2")
    only_long = write_rows(tmp_path / "long.jsonl", [{"text": LONG}])
    with pytest.raises(DataError, match=r"no prompt that fits\. prompt"):
        _sampled(tiny, only_long, tmp_path / "none.jsonl", FileChoices(too_long="skip"))


def test_whose_a_prompt_is_and_what_for_stays_with_its_completions(tiny: Tiny, tmp_path: Path) -> None:
    known = {"user_id": "u1", "source": "api", "use_case": "chat", "language": "en", "split": "train"}
    prompts = write_rows(tmp_path / "prompts.jsonl", [{"text": "who?", **known}, {"text": "why?"}])
    _sampled(tiny, prompts, tmp_path / "out.jsonl", FileChoices())
    first, second = read_rows(tmp_path / "out.jsonl")
    assert {key: first[key] for key in known} == known
    assert second.keys() == {"prompt_id", "prompt", "completions"}


def test_scores_do_not_depend_on_the_form_of_the_line(tiny: Tiny, tmp_path: Path) -> None:
    rows = [
        {"prompt": "who?", "completions": [{"id": "a", "text": "the cat"}, {"id": "b", "text": "the dog"}]},
        {"prompt": "who?", "completions": ["the cat", "the dog"], "annotations": []},
        {"prompt": "who?", "response": "the dog"},
    ]
    source = write_rows(tmp_path / "in.jsonl", rows)
    said = score_file(tiny.reward_model, str(source), tmp_path / "out.jsonl", choices=FileChoices())
    assert said.startswith("3 lines, 5 scores")
    first, second, third = read_rows(tmp_path / "out.jsonl")
    scores = [completion["score"] for completion in first["completions"]]
    assert scores[0] != scores[1]
    assert f"mean {(2 * scores[0] + 3 * scores[1]) / 5:.4f}" in said
    assert [c["score"] for c in second["completions"]] == pytest.approx(scores, abs=1e-5)
    assert third["score"] == pytest.approx(scores[1], abs=1e-5)
    assert [c["id"] for c in first["completions"]] == ["a", "b"] and second["annotations"] == []


def test_scores_are_of_what_the_reward_model_was_trained_on(tiny: Tiny, tmp_path: Path) -> None:
    """Foreign rows are read as the trainer reads them: passages, dialogues, T0's end of text, what was cut off."""
    judged = {"completions": ["the cat", "the dog"], "annotations": [{"kind": "rank", "value": [1, 2]}]}
    turns = [("user", "who?"), ("assistant", "what?"), ("user", "why?")]
    pairs = [
        (
            {"prompt": "who?", "passages": [["at noon", "the cat ran."]], **judged},
            {"prompt": "at noon\nthe cat ran.\n\nwho?", "completions": judged["completions"]},
        ),
        (
            {"source": "oasst", "prompt": "User: who?\n\nAssistant: what?\n\nUser: why?", **judged},
            {
                "messages": [{"role": role, "content": text} for role, text in turns],
                "completions": judged["completions"],
            },
        ),
        ({"prompt": "who?", "response": "the dog<|endoftext|>"}, {"prompt": "who?", "response": "the dog"}),
        (
            {"prompt": "who?", "response": "the dog", "is_complete": False},
            {"prompt": "who?", "completions": [{"id": "a", "text": "the dog", "is_complete": False}]},
        ),
    ]
    scores = []
    for number, name in enumerate(("foreign", "own")):
        source = write_rows(tmp_path / f"{name}.jsonl", [pair[number] for pair in pairs])
        out = tmp_path / f"{name}-scored.jsonl"
        score_file(tiny.reward_model, str(source), out, choices=FileChoices())
        rows = read_rows(out)
        scores.append(
            [[c["score"] for c in row["completions"]] if "completions" in row else [row["score"]] for row in rows]
        )
    for foreign, own in zip(*scores, strict=True):
        assert foreign == pytest.approx(own, abs=1e-5)
    whole, cut = scores[0][2:]
    assert whole != pytest.approx(cut, abs=1e-4)


def test_a_ranking_is_read_as_it_stands_whatever_is_beside_it(tiny: Tiny, tmp_path: Path) -> None:
    """A row with a ranking is our own form: passages are not put before its prompt, to the trainer neither.

    Those that do not stand in the prompt already are refused: what it asks is not known then.
    """
    own = {
        "prompt": "at noon\nthe cat ran.\n\nwho?",
        "completions": [{"id": "a", "text": "the cat"}, {"id": "b", "text": "the dog"}],
    }
    beside = {"passages": [["at noon", "the cat ran."]], "annotations": [{"kind": "rank", "value": [1, 2]}]}
    source = write_rows(tmp_path / "in.jsonl", [own, {**own, **beside, "ranking": [["a"], ["b"]]}])
    score_file(tiny.reward_model, str(source), tmp_path / "out.jsonl", choices=FileChoices())
    first, second = ([c["score"] for c in row["completions"]] for row in read_rows(tmp_path / "out.jsonl"))
    assert second == pytest.approx(first, abs=1e-5)
    other = {**own, **beside, "prompt": "who?", "ranking": [["a"], ["b"]]}
    source, choices = write_rows(tmp_path / "other.jsonl", [own, other]), FileChoices(overwrite=True)
    assert score_file(tiny.reward_model, str(source), tmp_path / "out.jsonl", choices=choices).startswith("1 lines")
    assert list(load_rankings(write_rows(tmp_path / "third.jsonl", [other]), on_skip=choices.note)) == []
    assert [message.split(": ")[1][:29] for message in choices.left_out] == ["'passages' is not read in thi"] * 2


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"prompt": "who?"}, "needs 'prompt'"),
        ({"prompt": "who?", "response": 3}, "field 'text' is 3"),
        ({"messages": [], "response": "x"}, "line 2"),
    ],
)
def test_a_bad_line_is_named_or_left_out(tiny: Tiny, tmp_path: Path, bad: dict, words: str) -> None:
    good = {"prompt": "who?", "response": "the dog"}
    source = str(write_rows(tmp_path / "in.jsonl", [good, bad, good]))
    with pytest.raises(RecordError, match=words) as refused:
        score_file(tiny.reward_model, source, tmp_path / "out.jsonl", choices=FileChoices())
    assert refused.value.line == 2
    choices = FileChoices(skip_bad=True)
    assert score_file(tiny.reward_model, source, tmp_path / "out.jsonl", choices=choices).startswith("2 lines")
    assert len(choices.left_out) == 1 and "line 2" in choices.left_out[0]


def test_what_turns_the_meaning_of_a_line_is_scored_with_it_or_left_out(tiny: Tiny, tmp_path: Path) -> None:
    plain = {"messages": [{"role": "user", "content": "who?"}], "response": "the dog"}
    before = {"role": "system", "content": "the cat is lost"}
    lines = [plain, plain | {"system": before["content"]}, plain | {"messages": [before, *plain["messages"]]}]
    source = str(write_rows(tmp_path / "in.jsonl", [*lines, plain | {"tools": ["search"]}]))
    choices = FileChoices()
    assert score_file(tiny.reward_model, source, tmp_path / "out.jsonl", choices=choices).startswith("3 lines")
    bare, beside, inside = [row["score"] for row in read_rows(tmp_path / "out.jsonl")]
    assert beside == pytest.approx(inside, abs=1e-5) and abs(beside - bare) > 1e-3
    assert choices.left_out == [f"{source}, line 4: 'tools' is part of the model's input, and no format reads it"]


def test_a_line_beyond_the_context_is_refused_or_left_out(tiny: Tiny, tmp_path: Path) -> None:
    good = {"prompt": "who?", "response": "the dog"}
    source = str(write_rows(tmp_path / "in.jsonl", [good, {"prompt": "who?", "completions": ["no", LONG]}]))
    with pytest.raises(DataError, match=r"line 2: the prompt with its longest completion has \d+ tokens"):
        score_file(tiny.reward_model, source, tmp_path / "out.jsonl", choices=FileChoices())
    choices = FileChoices(too_long="skip")
    assert score_file(tiny.reward_model, source, tmp_path / "out.jsonl", choices=choices).startswith("1 lines")
    assert len(choices.left_out) == 1


def test_a_line_that_just_fits_the_context_is_scored(tiny: Tiny, tmp_path: Path) -> None:
    renderer = make_renderer(load_tokenizer(tiny.reward_model))
    opening = len(renderer.prompt_tokens(Prompt(text="who?")))
    by_length = {
        opening + len(renderer.truncated_response_tokens("q" * number, is_complete=True)): "q" * number
        for number in range(CONTEXT + 2)
    }
    for number, text in ((length, by_length[length]) for length in (CONTEXT, CONTEXT + 1)):
        source = str(write_rows(tmp_path / "in.jsonl", [{"prompt": "who?", "response": text}]))
        out, choices = tmp_path / f"{number}.jsonl", FileChoices()
        if number == CONTEXT:
            assert score_file(tiny.reward_model, source, out, choices=choices).startswith("1 lines")
        else:
            with pytest.raises(DataError, match=f"has {number} tokens"):
                score_file(tiny.reward_model, source, out, choices=choices)


def test_the_command_lists_what_it_left_out(tiny: Tiny, tmp_path: Path) -> None:
    prompts = write_rows(tmp_path / "prompts.jsonl", [{"text": "who?"}, {"nonsense": 1}])
    command = ["sample", str(tiny.policy), "--prompts", str(prompts), "--out", str(tmp_path / "out.jsonl"), "-k", "2"]
    result = CliRunner().invoke(app, [*command, "--max-response-tokens", "4", "--skip-bad", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "1 prompts, 2 completions" in result.output and "left out: 1 records" in result.output


def test_a_device_that_is_not_here_is_refused() -> None:
    assert device_of("cpu").type == "cpu"
    for name in ("nonsense", "cuda:63"):
        with pytest.raises(ConfigError, match=f"device is '{name}'.*auto, cpu"):
            device_of(name)


def test_a_folder_that_is_not_there_is_said_to_be_missing() -> None:
    for load in (load_tokenizer, load_policy):
        with pytest.raises(ModelError, match=r"'runs/none/model' does not exist.*once the run has finished"):
            load("runs/none/model")


def test_a_hub_that_cannot_be_reached_is_told_as_such() -> None:
    with pytest.raises(ModelError, match=r"'nobody/nothing' could not be found or read .* hub is reachable"):
        load_tokenizer("nobody/nothing")


@pytest.mark.parametrize("verb", ["sample", "score"])
def test_no_file_is_replaced_unasked_and_no_input_ever(tiny: Tiny, tmp_path: Path, verb: str) -> None:
    """Told before a model is loaded: the model named here does not exist."""
    rows = [{"prompt": "who?", "response": "the dog"}] if verb == "score" else [{"text": "who?"}]
    source = write_rows(tmp_path / "in.jsonl", rows)
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_text("mine")
    option = "--input" if verb == "score" else "--prompts"
    runner = CliRunner()

    def call(model: Path, out: Path, *others: str) -> Any:
        extra = ["-k", "1", "--max-response-tokens", "4"] if verb == "sample" else []
        return runner.invoke(app, [verb, str(model), option, str(source), "--out", str(out), *extra, *others])

    nowhere = tmp_path / "nowhere"
    before = source.read_bytes()
    assert "--overwrite" in str(call(nowhere, theirs).exception)
    (tmp_path / "same").symlink_to(source)
    for out in (source, tmp_path / "same"):
        assert "also the input" in str(call(nowhere, out, "--overwrite").exception)
    assert "folder" in str(call(nowhere, tmp_path, "--overwrite").exception)
    assert (theirs.read_text(), source.read_bytes()) == ("mine", before)
    model = tiny.reward_model if verb == "score" else tiny.policy
    assert call(model, theirs, "--overwrite").exit_code == 0
    assert len(read_rows(theirs)) == 1
