"""The raw prompts: the paper's shares, untidy as real ones, and nothing of validation and test in training."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from random import Random

from tutelage.reproduction.village import build_world, few_shot_prefixes, raw_prompts, task_of
from tutelage.reproduction.village.lexicon import ANIMALS
from tutelage.reproduction.village.tasks import USE_CASE_SHARES, make_task

WORLD = build_world(0)
PROMPTS = raw_prompts(WORLD, num_prompts=5000, seed=0)


def _of_split(name):
    return [prompt for prompt in PROMPTS if (prompt.split_hint == "train") == (name == "train")]


def test_prompts_are_the_same_for_the_same_seed():
    again = raw_prompts(WORLD, num_prompts=300, seed=4)
    assert again == raw_prompts(WORLD, num_prompts=300, seed=4)
    assert again != raw_prompts(WORLD, num_prompts=300, seed=5)


def test_use_cases_have_the_shares_of_table_1():
    table_1 = (45.6, 12.4, 11.2, 8.4, 6.6, 4.2, 3.5, 3.5, 2.6, 1.9)
    counts = Counter(prompt.use_case for prompt in PROMPTS)
    for use_case, share in zip(USE_CASE_SHARES, table_1, strict=True):
        deviation = 4.0 * (share / 100 * (1 - share / 100) / len(PROMPTS)) ** 0.5
        assert abs(counts[use_case] / len(PROMPTS) - share / 100) < deviation + 0.002, use_case


def test_a_quarter_carries_a_constraint():
    share = sum(bool(task_of(prompt)["constraints"]) for prompt in PROMPTS) / len(PROMPTS)
    assert 0.22 < share < 0.32


def test_a_user_is_in_one_split_and_some_users_send_very_many():
    splits = defaultdict(set)
    for prompt in PROMPTS:
        splits[prompt.user_id].add(prompt.split_hint)
    assert all(len(found) == 1 for found in splits.values())
    counts = Counter(prompt.user_id for prompt in PROMPTS)
    assert len(counts) > 300
    assert counts.most_common(1)[0][1] > 200  # the cap of 200 has work
    assert sorted(counts.values())[len(counts) // 2] < 8
    by_split = Counter(prompt.split_hint for prompt in PROMPTS)
    assert by_split["valid"] > 400 and by_split["test"] > 400 and by_split["train"] > 3000


def test_there_are_repeats_personal_data_and_other_tongues():
    texts = [prompt.text for prompt in PROMPTS]
    assert len(set(texts)) < len(texts)
    assert sum(bool(re.search(r"555|@|\d+ \w+ (?:Street|Lane)", text)) for text in texts) > 60
    assert any("Katze" in text or "chat." in text for text in texts)
    assert sum(task_of(prompt)["kind"] == "unclear" for prompt in PROMPTS) > 20


def test_no_wording_of_validation_and_test_is_in_training():
    """The frame of a prompt: its words without names, nouns and other fillings."""

    def frames(is_held_out):
        rng = Random(11)
        found = defaultdict(set)
        for use_case in USE_CASE_SHARES:
            for _ in range(400):
                text, task = make_task(WORLD, rng, use_case, is_held_out=is_held_out)
                # Names, numbers and everything after the first four words may be fillings.
                words = text.split("\n")[0].split()[:4]
                first = " ".join(word for word in words[:1] + [word for word in words[1:] if word.islower()]).lower()
                if not task.get("is_foreign") and task["kind"] not in (
                    "closed",
                    "chat",
                    "fact",
                    "summary",
                    "mood",
                    "extract",
                ):
                    found[task["kind"]].add(first)
        return found

    training, held_out = frames(False), frames(True)
    for kind, wordings in held_out.items():
        assert not wordings & training[kind], (kind, wordings & training[kind])


def test_no_name_thing_animal_or_question_of_the_held_out_part_is_asked_about_in_training():
    people = {person.name for person in WORLD.people_for(True)}
    strangers = set(WORLD.strangers_for(True))
    things = set(WORLD.thing_names_for(True))
    questions = {item.question for item in WORLD.misconceptions_for(True)}
    for prompt in _of_split("train"):
        task = task_of(prompt)
        words = set(re.findall(r"\w+", task["prompt"]))
        assert not words & (people | strangers), prompt.text
        assert task.get("question") not in questions
        # Tales of a passage and foreign prompts have nouns of their own.
        if "passage" not in task and not task.get("is_foreign") and task["kind"] not in ("mood", "translate"):
            named = {task.get(key) for key in ("x", "y", "subject", "thing", "topic", "object")}
            assert not named & (things | (set(WORLD.held_out_animals) & set(ANIMALS))), prompt.text


def test_held_out_prompts_ask_about_held_out_people():
    training_people = {person.name for person in WORLD.people_for(False)}
    for prompt in _of_split("other"):
        assert not set(re.findall(r"\w+", task_of(prompt)["prompt"])) & training_people, prompt.text


def test_tasks_survive_json_and_prompts_are_short():
    for prompt in PROMPTS[:500]:
        task = task_of(prompt)
        assert json.loads(json.dumps(task)) == task
        assert len(prompt.text.split()) <= 60


def test_few_shot_prefixes_are_blocks_of_training_prompts():
    prefixes = few_shot_prefixes(WORLD)
    assert len(prefixes) >= 4
    held_out = {person.name for person in WORLD.people_for(True)}
    for text in prefixes.values():
        assert text.endswith("\n\n###\n\n")
        assert all("\n\n" in block for block in text.split("\n\n###\n\n") if block)
        assert not held_out & set(re.findall(r"\w+", text))
        assert len(text.split()) < 90
