from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.curation.build import build_prompts
from tutelage.curation.decide import curate
from tutelage.curation.stats import statistics_tables, write_statistics
from tutelage.errors import DataError, RecordError, StorageError
from tutelage.prompts.config import PromptsConfig, SplitShares
from tutelage.records import Prompt, content_id
from tutelage.store.jsonl import read_records

ONLY_TRAIN = SplitShares(train=1, valid=0, test=0)
ANY = PromptsConfig(split_shares=ONLY_TRAIN)
THREE = PromptsConfig(split_shares=SplitShares(train=6, valid=3, test=1))


@contextmanager
def silent(*_, **__):
    class Silent:
        def advance(self, amount=1, note=""):
            pass

    yield Silent()


def write_lines(path, rows):
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def build(tmp_path, rows, config=ANY, name="out", **options):
    source = write_lines(tmp_path / "source.jsonl", rows)
    manifest = build_prompts([source], tmp_path / name, config, progress=silent, **options)
    return manifest, list(read_records(tmp_path / name / "prompts.jsonl", Prompt))


def rejected_lines(folder):
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]


def many(num_users=60, prompts_each=5):
    return [
        {"text": f"Question number {n} of person {user}, please say more.", "user_id": f"u{user}"}
        for user in range(num_users)
        for n in range(prompts_each)
    ]


def test_a_build_end_to_end(tmp_path):
    rows = many()
    rows += [rows[0] | {"user_id": "u1"}, rows[0] | {"text": rows[0]["text"].upper()}]  # exact repeats
    rows += [{"text": f"{'The same long context. ' * 20} Line {n}", "user_id": f"v{n}"} for n in range(3)]
    rows += [{"text": "x" * 20_000, "user_id": "u2"}]
    rows += [
        {"text": "Mail me at jo@example.com about the weather in the north.", "user_id": "u3", "extra": {"kept": 1}}
    ]
    manifest, prompts = build(tmp_path, rows, THREE)
    assert manifest.num_read == 307 and manifest.num_kept == len(prompts) == 302
    assert manifest.rejected == {"repeat": 2, "shared_prefix": 2, "too_long": 1}
    assert manifest.placeholders == {"EMAIL": 1} and manifest.num_scrubbed == 1
    assert sum(sum(counts.values()) for counts in manifest.counts.values()) == 302
    assert sorted(os.listdir(tmp_path / "out")) == ["manifest.json", "prompts.jsonl", "rejected.jsonl"]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["num_kept"] == 302
    assert Counter(row["reason"] for row in rejected_lines(tmp_path / "out")) == manifest.rejected
    (mailed,) = [prompt for prompt in prompts if "EMAIL" in prompt.flat]
    assert mailed.text == "Mail me at [EMAIL] about the weather in the north."
    assert mailed.id == content_id(mailed.text) and mailed.model_extra == {"extra": {"kept": 1}}
    assert {prompt.purpose for prompt in prompts if prompt.split == "test"} == {None}
    assert {prompt.purpose for prompt in prompts if prompt.split == "train"} >= {"reward", "ppo"}


def test_the_file_on_disk_and_the_path_in_memory_agree(tmp_path):
    rows = many() + many(3, 2)
    _, prompts = build(tmp_path, rows, THREE)
    assert list(curate(map(Prompt.model_validate, rows), THREE)) == prompts


def test_the_same_sources_in_another_order_give_the_same_bytes(tmp_path):
    rows = many(20, 3) + [{"text": f"{'Long start of a prompt. ' * 20}{n}", "user_id": f"v{n % 3}"} for n in range(9)]
    rows += [{"text": f"The very same words {n % 2}", "user_id": f"w{n}", "use_case": f"Case {n}"} for n in range(8)]
    config = PromptsConfig(max_prompts_per_user=2, split_shares=ONLY_TRAIN)
    build(tmp_path, rows, config, "one")
    build(tmp_path, rows[::-1], config, "two")
    assert (tmp_path / "one" / "prompts.jsonl").read_bytes() == (tmp_path / "two" / "prompts.jsonl").read_bytes()
    assert (tmp_path / "one" / "rejected.jsonl").read_bytes() == (tmp_path / "two" / "rejected.jsonl").read_bytes()


@pytest.mark.parametrize("longer", ["a" * 30 + "z", "z" * 30])
def test_the_longest_of_a_family_stays_wherever_it_stands_in_the_alphabet(longer):
    context = "One long context, again and again. " * 10
    prompts = [Prompt(text=context + ending) for ending in (longer, "m", "")]
    assert [prompt.text for prompt in curate(prompts, ANY)] == [context + longer]


def test_customers_are_capped_and_labelers_are_not(tmp_path):
    rows = [{"text": f"Prompt {n} of the many", "user_id": "u"} for n in range(250)]
    rows += [{"text": f"Task {n} of the many", "user_id": "l", "source": "labeler-plain"} for n in range(250)]
    manifest, prompts = build(tmp_path, rows)
    assert Counter(prompt.user_id for prompt in prompts) == {"u": 200, "l": 250}
    assert manifest.rejected == {"user_cap": 50}
    everyone = ANY.model_copy(update={"exempt_labelers": False})
    assert Counter(prompt.user_id for prompt in curate(map(Prompt.model_validate, rows), everyone)) == {
        "u": 200,
        "l": 200,
    }


def test_two_prompts_that_differ_in_an_address_only_are_one(tmp_path):
    rows = [{"text": f"Write to {name}@example.com and say hello.", "user_id": name} for name in ("ann", "bob")]
    manifest, prompts = build(tmp_path, rows)
    assert manifest.rejected == {"repeat": 1}
    assert [prompt.text for prompt in prompts] == ["Write to [EMAIL] and say hello."]


def test_only_the_chosen_splits_are_scrubbed(tmp_path):
    rows = [{"text": f"Number {n}: mail a{n}@b.org", "user_id": f"u{n}"} for n in range(100)]
    manifest, prompts = build(tmp_path, rows, THREE.model_copy(update={"scrub_splits": ("train",)}))
    by_split = defaultdict(set)
    for prompt in prompts:
        by_split[prompt.split].add("[EMAIL]" in prompt.flat)
    assert by_split == {"train": {True}, "valid": {False}, "test": {False}}
    assert manifest.num_scrubbed == sum(prompt.split == "train" for prompt in prompts)


def test_dialogues_are_scrubbed_turn_by_turn_and_given_ids_stay(tmp_path):
    row = {
        "id": "given",
        "messages": [
            {"role": "user", "content": "I am a@b.org"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Call 415-234-5678"},
        ],
    }
    _, (prompt,) = build(tmp_path, [row])
    assert prompt.id == "given"
    assert [message.content for message in prompt.messages] == ["I am [EMAIL]", "Hello", "Call [PHONE]"]


def test_a_user_id_that_is_personal_becomes_a_pseudonym_and_users_stay_together(tmp_path):
    rows = [{"text": f"Prompt {n} please", "user_id": "jo@example.com"} for n in range(3)]
    _, prompts = build(tmp_path, rows)
    (name,) = {prompt.user_id for prompt in prompts}
    assert name.startswith("user-") and "jo@example.com" not in (tmp_path / "out" / "prompts.jsonl").read_text()


def test_languages_are_labelled_kept_where_given_and_filtered_where_asked(tmp_path):
    rows = [
        {"text": "Where does the river in the valley come from?", "user_id": "a"},
        {"text": "Was ist die Hauptstadt von Frankreich?", "user_id": "b"},
        {"text": "ok", "user_id": "c"},
        {"text": "xyzzy", "user_id": "d", "language": "eo"},
    ]
    manifest, _ = build(tmp_path, rows)
    assert manifest.languages == {"de": 1, "en": 1, "eo": 1, "und": 1}
    only = PromptsConfig(split_shares=ONLY_TRAIN, languages=("de", "eo"))
    manifest, _ = build(tmp_path, rows, only, "only")
    assert manifest.languages == {"de": 1, "eo": 1} and manifest.rejected == {"language": 2}


def hinted(user, hints):
    return [
        {"text": f"Prompt {n} of {user}", "user_id": user} | ({"split_hint": h} if h else {})
        for n, h in enumerate(hints)
    ]


def test_split_hints_count_where_all_prompts_of_a_user_have_them():
    config = PromptsConfig(split_shares=ONLY_TRAIN)
    rows = hinted("a", ["test", "test"]) + hinted("b", ["valid", None]) + hinted("c", [None])
    splits = {prompt.user_id: prompt.split for prompt in curate(map(Prompt.model_validate, rows), config)}
    assert splits == {"a": "test", "b": "train", "c": "train"}


def test_ignored_hints_are_counted_and_contradicting_ones_refused(tmp_path):
    manifest, _ = build(tmp_path, hinted("b", ["valid", None]) + hinted("c", [None]))
    assert manifest.num_hints_ignored == 1
    with pytest.raises(DataError, match="user a has prompts with 'split_hint' 'test' and others with 'train'"):
        build(tmp_path, hinted("a", ["test", "train"]), name="other")
    with pytest.raises(DataError, match="'split_hint' is 'dev'; it must be one of train, valid, test"):
        build(tmp_path, hinted("a", ["dev"]), name="other")
    manifest, _ = build(tmp_path, [*hinted("a", ["dev"]), *hinted("b", [None])], name="other", skip_bad=True)
    assert manifest.num_read == 1 and manifest.sources[0].num_left_out == 1


def test_an_empty_split_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(DataError, match=r"the split '(test|valid)' is empty: prompts of 1 users .* or the share 0"):
        build(tmp_path, [{"text": "Only one", "user_id": "u"}], PromptsConfig())
    with pytest.raises(DataError, match="no prompts are left"):
        build(tmp_path, [])
    assert not (tmp_path / "out").exists()


def test_an_id_that_stands_for_two_prompts_is_refused(tmp_path):
    with pytest.raises(DataError, match="the id '7' is shared by 2 different prompts"):
        build(tmp_path, [{"id": "7", "text": "one"}, {"id": "7", "text": "two"}])


BAD = ["{not json", {"text": "  "}, {"text": 7}, {"text": "good", "split": "spam@example.com"}]


@pytest.mark.parametrize("bad", BAD)
def test_a_malformed_record_stops_the_build_and_names_its_line(tmp_path, bad):
    with pytest.raises(RecordError, match=r"source\.jsonl, line 2: "):
        build(tmp_path, [{"text": "good"}, bad])
    assert os.listdir(tmp_path) == ["source.jsonl"]


def test_malformed_records_can_be_skipped_and_are_counted_and_listed(tmp_path):
    manifest, prompts = build(tmp_path, [{"text": "good"}, *BAD, {"text": "also good"}], skip_bad=True)
    assert len(prompts) == 2
    assert manifest.sources[0].num_left_out == 4 and [bad.line for bad in manifest.left_out] == [2, 3, 4, 5]
    assert [(row["reason"], row["line"]) for row in rejected_lines(tmp_path / "out")] == [
        ("left_out", line) for line in (2, 3, 4, 5)
    ]
    assert "spam@" not in (tmp_path / "out" / "rejected.jsonl").read_text()


def test_nothing_is_replaced_and_a_missing_source_is_named(tmp_path):
    build(tmp_path, [{"text": "good"}])
    before = (tmp_path / "out" / "prompts.jsonl").read_bytes()
    with pytest.raises(StorageError, match="already exists"):
        build(tmp_path, [{"text": "other"}])
    assert (tmp_path / "out" / "prompts.jsonl").read_bytes() == before
    with pytest.raises(DataError, match="does not exist"):
        build_prompts([tmp_path / "nowhere.jsonl"], tmp_path / "new", ANY, progress=silent)
    with pytest.raises(DataError, match="no source was given"):
        build_prompts([], tmp_path / "new", ANY, progress=silent)


prompts_of_users = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 12), st.booleans()), min_size=1, max_size=40
).map(
    lambda drawn: [
        Prompt(text=f"Prompt {n}", user_id=f"u{user}", source="labeler-plain" if is_labeler else "api")
        for user, n, is_labeler in drawn
    ]
)


@settings(max_examples=40, deadline=None)
@given(prompts_of_users, st.integers(0, 5), st.randoms(use_true_random=False))
def test_whatever_comes_users_are_in_one_split_capped_and_the_order_decides_nothing(prompts, seed, shuffler):
    config = PromptsConfig(seed=seed, max_prompts_per_user=2, exempt_labelers=False)
    try:
        kept = list(curate(prompts, config))
    except DataError as error:
        assert "is empty" in str(error)
        return
    splits = defaultdict(set)
    for prompt in kept:
        splits[prompt.user_id].add(prompt.split)
        assert (prompt.purpose is None) == (prompt.split == "test")
        assert not (prompt.purpose == "ppo" and prompt.source.startswith("labeler"))
    assert all(len(of_user) == 1 for of_user in splits.values())
    assert max(Counter(prompt.user_id for prompt in kept).values()) <= 2
    assert len({prompt.text for prompt in kept}) == len(kept)
    assert list(curate(shuffler.sample(prompts, len(prompts)), config)) == kept


def test_building_what_was_built_changes_nothing(tmp_path):
    _, prompts = build(tmp_path, [*many(), {"text": "Mail me at jo@example.com today.", "user_id": "jo@b.org"}], THREE)
    assert list(curate(prompts, THREE)) == prompts


def test_adding_users_moves_nobody(tmp_path):
    before = {
        prompt.id: (prompt.split, prompt.purpose) for prompt in curate(map(Prompt.model_validate, many(60)), THREE)
    }
    after = {
        prompt.id: (prompt.split, prompt.purpose) for prompt in curate(map(Prompt.model_validate, many(90)), THREE)
    }
    assert before.items() <= after.items() and len(after) > len(before)


def test_statistics_of_a_build_are_written_and_shown(tmp_path):
    manifest, _ = build(tmp_path, many(), THREE)
    statistics = write_statistics(tmp_path / "out")
    assert statistics.counts == manifest.counts
    assert json.loads((tmp_path / "out" / "stats.json").read_text()) == statistics.model_dump()
    assert [table.title.partition("(")[2] for table in statistics_tables(statistics)] == [
        "Table 1)",
        "Table 6)",
        "Table 8)",
        "Table 9)",
        "Table 10)",
    ]
    with pytest.raises(DataError, match=r"has no prompts\.jsonl"):
        write_statistics(tmp_path)
