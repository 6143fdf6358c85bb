"""The command line from outside: what its verbs leave and say, and how each mistake of a user ends."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch", reason="most verbs need torch")

import torch

import tutelage
from tiny import CONTEXT, read_rows, write_rows
from tutelage.cli import machine, main
from tutelage.model.policy import Policy, ScoreModel
from tutelage.serving.chat import Conversation, NotSentError
from tutelage.text.tokenizers import train_tokenizer

TEXT = {"max_prompt_tokens": 40, "max_response_tokens": 24}


@dataclass(frozen=True)
class Ending:
    status: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Run one command in this process, as the shell would; a fault of ours still ends as one."""

    def run(*arguments, stdin: str = ""):
        monkeypatch.setattr(sys, "argv", ["tutelage", *map(str, arguments)])
        lines = iter(stdin.splitlines(keepends=True))
        monkeypatch.setattr(sys.stdin, "readline", lambda *_: next(lines, ""), raising=False)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Ending(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def config(tiny, tmp_path):
    """The file of a short SFT run."""

    def config(**others: Any) -> Path:
        settings = {
            "out": str(tmp_path / "run"),
            "model": str(tiny.policy),
            "demonstrations": str(tiny.demonstrations),
            "validation": str(tiny.demonstrations),
            "allow_prompt_overlap": True,
            "text": TEXT,
            "num_epochs": 1,
            "demonstrations_per_step": 8,
            "checkpoint_every_num_steps": 1,
            "device": "cpu",
        }
        path = tmp_path / "sft.yaml"
        path.write_text(yaml.safe_dump({**settings, **others}))
        return path

    return config


# Verbs.


def test_version_and_help(run):
    assert run("--version") == Ending(0, f"tutelage {tutelage.__version__}\n", "")
    shown = run("--help")
    assert shown.status == 0
    assert all(
        verb in shown.stdout for verb in ("quickstart", "sft", "reward", "ppo", "dpo", "sample", "score", "chat")
    )
    assert run("nonsense").status == 2


def test_what_is_sampled_can_be_scored(run, tiny, tmp_path):
    sampled, again, scored = (tmp_path / name for name in ("sampled.jsonl", "again.jsonl", "scored.jsonl"))
    options = ["--prompts", tiny.prompts, "-k", "3", "--name", "tiny", "--max-response-tokens", "6", "--device", "cpu"]
    said = run("sample", tiny.policy, *options, "--out", sampled)
    assert (said.status, said.stdout) == (0, f"12 prompts, 36 completions: {sampled}\n")
    rows = read_rows(sampled)
    assert [row["prompt"] for row in rows] == [row["text"] for row in read_rows(tiny.prompts)]
    completions = [completion for row in rows for completion in row["completions"]]
    assert {completion["policy"] for completion in completions} == {"tiny"}
    assert all(1 <= completion["num_tokens"] <= 6 for completion in completions)
    assert len({completion["id"] for completion in completions}) == 36

    assert run("sample", tiny.policy, *options, "--out", again).status == 0
    assert again.read_bytes() == sampled.read_bytes()
    assert run("sample", tiny.policy, *options, "--seed", "1", "--out", again, "--overwrite").status == 0
    assert again.read_bytes() != sampled.read_bytes()

    said = run("score", tiny.reward_model, "--input", sampled, "--out", scored, "--device", "cpu")
    assert said.status == 0
    found = read_rows(scored)
    scores = [completion.pop("score") for row in found for completion in row["completions"]]
    assert found == rows, "the lines as they came, with scores"
    assert said.stdout == f"12 lines, 36 scores, mean {sum(scores) / 36:.4f}: {scored}\n"


def test_chat_responds_line_by_line_until_an_empty_one(run, tiny):
    options = ["--max-response-tokens", "5", "--device", "cpu"]
    said = run("chat", tiny.policy, *options, stdin="Where is the cat?\nAnd the dog?\n\nnot read\n")
    assert said.status == 0
    first, second = said.stdout.split("you> ")[1:3]
    assert said.stdout.count("you> ") == 3
    assert first.strip() and second.strip()
    alone = run("chat", tiny.policy, *options, stdin="Where is the cat?\n")
    assert alone.stdout.split("you> ")[1] == first, "the same seed, and each line stands alone"
    ended = run("chat", tiny.policy, *options, stdin="")
    assert (ended.status, ended.stdout.strip()) == (0, "you>")


def test_chat_says_when_the_context_is_full(run, tiny):
    """In one line; the dialogue continues as if the line that is too long had not been there."""
    long, options = "where " * CONTEXT, ["--max-response-tokens", "5", "--device", "cpu"]
    said = run("chat", tiny.policy, *options, stdin=f"A cat?\n{long}\nA dog?\n\n")
    assert said.status == 0
    assert re.fullmatch(rf"not sent: .* fills the model's context of {CONTEXT}; write less, .*\n", said.stderr)
    first, refused, second, last = said.stdout.split("you> ")[1:]
    assert not refused.strip()
    without = run("chat", tiny.policy, *options, stdin="A cat?\nA dog?\n\n")
    assert ([first, second, last], "") == (without.stdout.split("you> ")[1:], without.stderr)

    settings = {"temperature": 0.0, "max_response_tokens": 5, "prompt_format": "plain", "seed": 0, "device": "cpu"}
    conversation = Conversation(tiny.policy, **settings)
    conversation.reply("A cat?")
    kept = list(conversation.messages)
    with pytest.raises(NotSentError):
        conversation.reply(long)
    assert conversation.messages == kept
    assert [message.role for message in kept] == ["user", "assistant"]


def test_doctor_tells_what_would_run(run, monkeypatch):
    missing = [*machine.PACKAGES, ("no_such_package", "nothing at all", "none")]
    monkeypatch.setattr(machine, "PACKAGES", missing)
    said = run("doctor")
    assert said.status == 0
    shown = " ".join(said.stdout.split())
    assert f"python {sys.version.split()[0]}" in shown
    for words in ("CPU cores", "memory", "free disk here", "GFLOP/s", "GPU", "Peak memory of training"):
        assert words in shown, words
    assert "no_such_package not installed: nothing at all will not work; pip install 'tutelage[none]'" in shown


def test_doctor_tells_what_training_takes_and_whether_it_is_there(run, monkeypatch):
    """A machine of 16 GiB: SFT of 134.5 M parameters takes 2.0 for weights, gradients and moments, 11.8 for the
    activations of 8,192 tokens and 0.4 for logits. PPO takes 44 bytes a parameter, 5.5, and 22.5 for sampling.
    """
    monkeypatch.setattr(machine, "_memory_bytes", lambda: 16 * 2**30)
    monkeypatch.setattr(machine, "_gflops", lambda dtype: 1.0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    said = " ".join(run("doctor").stdout.split())
    assert "SmolLM2-135M 14.2 fits" in said
    row = said.split("SmolLM2-135M")[1].split("SmolLM2-360M")[0].split()
    assert row == ["14.2", "fits", "17.5", "28.0", "24.2"]
    for words in ("tokens_per_microbatch 8192", "text.max_response_tokens 2048", "Not counted: about 0.4 GiB"):
        assert words in said


def test_a_stage_shows_its_outcome_and_has_a_report(run, config, tmp_path):
    said = run("sft", config())
    assert said.status == 0, said.stderr
    shown = " ".join(said.stdout.split())
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert f"validation loss {summary['validation_loss']:.4g}" in shown
    assert "num demonstrations 40" in shown
    said = run("report", tmp_path / "run")
    assert (said.status, said.stdout.strip()) == (0, str(tmp_path / "run" / "report.html"))
    assert (tmp_path / "run" / "report.html").read_text().lower().startswith("<!doctype html>")


# Mistakes of a user: status 2, one message, no traceback, and nothing lost.


def mistaken(said: Ending) -> str:
    assert said.status == 2, said
    assert "Traceback" not in said.stderr
    assert said.stderr.count("error: ") == 1
    return said.stderr[said.stderr.index("error: ") :]


def test_malformed_records(run, config, tiny, tmp_path):
    rows = read_rows(tiny.demonstrations)
    rows[2] = {"prompt": "p", "response": 7}
    bad = write_rows(tmp_path / "bad.jsonl", rows)
    message = mistaken(run("sft", config(demonstrations=str(bad))))
    for words in (f"{bad}, line 3", "field 'response' is 7", "string"):
        assert words in message
    assert message.strip().endswith("."), "the remedy"
    said = run("sft", config(demonstrations=str(bad), out=str(tmp_path / "skipped")), "--skip-bad")
    assert said.status == 0
    assert "num skipped 1" in " ".join(said.stdout.split())
    assert f"left out: {bad}, line 3: field 'response' is 7" in said.stderr


def test_what_was_left_out_is_told_by_reasons_and_counted(run, config, tiny, tmp_path):
    bad, good = tmp_path / "bad.jsonl", tiny.demonstrations.read_text()
    number = good.count("\n") + 1
    others = [{"prompt": "p", "response": "r", key: ["x"]} for key in ("tools", "images", "audio", "video", "files")]
    bad.write_text(good + "{\n" * 8 + "".join(json.dumps(row) + "\n" for row in others))
    said = run("sft", config(demonstrations=str(bad)), "--skip-bad")
    told = [line.removeprefix("left out: ") for line in said.stderr.splitlines() if line.startswith("left out: ")]
    assert len(told) == 6 and told[0].startswith(f"{bad}, line {number}: field '(line)' is '{{'")
    assert told[0].endswith("[this and 7 more]") and told[1].startswith(f"{bad}, line {number + 8}: 'tools' is part of")
    assert told[-1] == "1 more for 1 other reasons"


def test_keys_that_are_unknown_or_contradict_each_other(run, config, tmp_path):
    path = config(klcoef=1, num_epochs="many", pretraining_share=0.1)
    message = mistaken(run("sft", path, "--set", "optimizer.learnig_rate=1", "--set", "seed"))
    for words in ("klcoef: unknown", "'optimizer.learning_rate'?", "num_epochs: is 'many'", "--set 'seed'"):
        assert words in message
    message = mistaken(run("sft", config(klcoef=1, pretraining_share=0.1)))
    for words in ("klcoef: unknown", "pretraining_text"):
        assert words in message
    assert not (tmp_path / "run").exists()


def test_a_model_folder_without_tokenizer(run, config, tiny, tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((tiny.policy / name).read_bytes())
    message = mistaken(run("sft", config(model=str(folder))))
    assert str(folder) in message
    assert "has no tokenizer" in message
    assert "Add tokenizer.json" in message


def test_a_reward_model_of_another_vocabulary(run, tiny, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    for path in tiny.reward_model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    train_tokenizer(["other words", "in other texts"] * 5, vocab_size=320, context_tokens=96).save_pretrained(folder)
    path = tmp_path / "ppo.yaml"
    settings = {"out": tmp_path / "run", "policy": tiny.policy, "reward_model": folder, "prompts": tiny.prompts}
    path.write_text(yaml.safe_dump({key: str(value) for key, value in settings.items()}))
    message = mistaken(run("ppo", path, "--set", "ptx.coef=0"))
    assert str(folder) in message
    assert "must be the same" in message
    assert not (tmp_path / "run").exists()


def test_prompts_longer_than_the_context(run, config, tiny, tmp_path):
    long = write_rows(tmp_path / "long.jsonl", [{"prompt": "where " * CONTEXT, "response": "no"}])
    message = mistaken(run("sft", config(demonstrations=str(long)), "--set", "text.max_prompt_tokens=1000"))
    assert f"the limit is {CONTEXT}" in message
    prompts = write_rows(tmp_path / "prompts.jsonl", [{"text": "where " * CONTEXT}])
    command = ["sample", tiny.policy, "--prompts", prompts, "--out", tmp_path / "out.jsonl", "--device", "cpu"]
    assert "--too-long skip" in mistaken(run(*command))
    assert not (tmp_path / "out.jsonl").exists()


def test_empty_splits(run, config, tmp_path):
    empty = write_rows(tmp_path / "empty.jsonl", [])
    assert "training split of demonstrations" in mistaken(run("sft", config(demonstrations=str(empty))))
    config_path = config(validation=str(empty), out=str(tmp_path / "other"))
    assert "validation split of demonstrations" in mistaken(run("sft", config_path))


def test_weights_and_losses_that_are_not_numbers(run, config, tiny, tmp_path):
    """Corrupted weights of a policy are refused; where only the loss shows it, its batch is named, nothing saved."""
    policy, broken = Policy.load(tiny.policy), tmp_path / "broken"
    with torch.no_grad():
        policy.model.model.norm.weight[0] = float("nan")
    policy.save(broken)
    message = mistaken(run("sft", config(model=str(broken))))
    assert f"model '{broken}' gives logits that are NaN or infinite" in message
    scorer, headless = ScoreModel.load(tiny.reward_model), tmp_path / "headless"
    with torch.no_grad():
        scorer.model.score.weight[0, 0] = float("nan")
    scorer.save(headless)
    path, rankings = tmp_path / "reward.yaml", str(tiny.rankings)
    settings = {"out": str(tmp_path / "reward"), "model": str(headless), "rankings": rankings, "validation": rankings}
    settings |= {"allow_prompt_overlap": True}
    path.write_text(yaml.safe_dump({**settings, "rankings_per_step": 5, "text": TEXT, "device": "cpu"}))
    message = mistaken(run("reward", path))
    assert "reward: the loss at step 0 is nan; training stopped before the update. The batch: prompt " in message
    assert message.count("prompt ") == 5
    assert not (tmp_path / "reward" / "model").exists()


def test_a_gradient_that_is_not_a_number(run, config, tmp_path):
    """The second update throws the weights out of all bounds; the checkpoint of before it stays."""
    path = config(optimizer={"learning_rate": 1e38, "schedule": "constant", "warmup_steps": 2, "warmup_from": 1e-40})
    message = mistaken(run("sft", path))
    assert "is nan; training stopped before the update. The batch: prompt " in message
    assert "lower learning_rate" in message
    assert (tmp_path / "run" / "checkpoints" / "step-00000001" / "state.pt").exists()
    assert not (tmp_path / "run" / "summary.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "none"], "none"),
        (["chat", "runs/none/model"], "model folder 'runs/none/model' does not exist"),
        (["sft", "none.yaml"], "none.yaml does not exist. Give the path of a YAML file."),
        (["score", "runs/none/model", "--input", "x.jsonl", "--out", "y.jsonl"], "'runs/none/model' does not exist"),
    ],
)
def test_what_is_not_there_is_named(run, arguments, words):
    assert words in mistaken(run(*arguments))


# What is not a mistake of the user.


def test_a_fault_of_ours_is_shown_as_one(monkeypatch):
    def fault():
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(machine, "show_machine", fault)
    monkeypatch.setattr(sys, "argv", ["tutelage", "doctor"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_stopped_by_hand_it_says_how_to_go_on(run, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "show_machine", interrupted)
    said = run("doctor")
    assert said.status == 130
    assert said.stderr == "\nstopped\n", "no promise that nobody keeps"
