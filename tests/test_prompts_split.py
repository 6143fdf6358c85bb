from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tutelage.prompts.allot import purpose_of, writer_of
from tutelage.prompts.chance import drawn, unit_interval
from tutelage.prompts.config import CustomerShares, LabelerShares, PromptsConfig, PurposeShares, SplitShares
from tutelage.prompts.language import language_of
from tutelage.prompts.split import split_of, user_key
from tutelage.records import Prompt


def shares_of(outcomes):
    counts = Counter(outcomes)
    return {outcome: count / counts.total() for outcome, count in counts.items()}


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_draws_are_fixed_by_their_parts_and_in_the_unit_interval(parts):
    assert 0 <= unit_interval(*parts) < 1
    assert unit_interval(*parts) == unit_interval(*parts)


def test_a_draw_is_the_same_on_every_machine():
    # sha256("a\x1fb") begins with 7b54b668 83650b...: computed with sha256sum.
    import subprocess

    digest = subprocess.run(["sha256sum"], input=b"a\x1fb", capture_output=True, check=True).stdout[:8]
    assert unit_interval("a", "b") == pytest.approx(int(digest, 16) / 2**32, abs=2**-32)


def test_draws_follow_their_weights_and_weight_zero_is_never_drawn():
    shares = shares_of(drawn({"a": 1, "b": 0, "c": 3}, n) for n in range(20_000))
    assert set(shares) == {"a", "c"}
    # Standard deviation of a share of 1/4 over 20,000 draws: 0.003.
    assert shares["a"] == pytest.approx(0.25, abs=0.015)


def test_users_fall_into_splits_as_in_tables_6_and_9():
    shares = shares_of(split_of(f"user:{n}", SplitShares(), 0) for n in range(20_000))
    total = 12_725 + 33_207 + 31_144 + 1_653 + 17_887 + 16_185 + 3_196
    assert shares["train"] == pytest.approx((12_725 + 33_207 + 31_144) / total, abs=0.015)
    assert shares["test"] == pytest.approx(3_196 / total, abs=0.006)


def test_another_seed_splits_otherwise():
    def splits(seed):
        return [split_of(f"user:{n}", SplitShares(), seed) for n in range(50)]

    assert splits(0) == splits(0) != splits(1)


def test_repeats_of_a_prompt_without_a_user_are_in_one_split():
    plain = Prompt(text="Name a bird that swims.")
    repeated = ["\ufeffName a bird that swims.", "Name a bird\u200b that  SWIMS."]
    dialogue = Prompt.model_validate({"messages": [{"role": "user", "content": plain.text}]})
    assert {user_key(prompt) for prompt in (dialogue, *(Prompt(text=text) for text in repeated))} == {user_key(plain)}


def test_prompts_without_a_user_are_users_of_their_own():
    assert user_key(Prompt(text="a", user_id="u")) == user_key(Prompt(text="b", user_id="u"))
    assert user_key(Prompt(text="a")) != user_key(Prompt(text="b"))
    # A user may be called like a prompt.
    assert user_key(Prompt(text="a", user_id=user_key(Prompt(text="a")).removeprefix("prompt:"))) != user_key(
        Prompt(text="a")
    )


@pytest.mark.parametrize(
    ("source", "writer"),
    [("labeler-plain", "labeler"), ("labeler-few-shot", "labeler"), ("api", "customer"), (None, "customer")],
)
def test_who_wrote_a_prompt(source, writer):
    assert writer_of(source) == writer


@pytest.mark.parametrize(
    ("split", "writer", "expected"),
    [
        ("train", "labeler", {"sft": 11_295, "reward": 6_623}),
        ("train", "customer", {"sft": 1_430, "reward": 26_584, "ppo": 31_144}),
        ("valid", "labeler", {"sft": 1_550, "reward": 3_488}),
        ("valid", "customer", {"sft": 103, "reward": 14_399, "ppo": 16_185}),
    ],
)
def test_purposes_are_allotted_as_in_table_6_and_labelers_prompts_never_to_ppo(split, writer, expected):
    shares = shares_of(purpose_of(f"{n:032x}", split, writer, PurposeShares(), 0) for n in range(10_000))
    assert set(shares) == set(expected)
    for purpose, count in expected.items():
        assert shares[purpose] == pytest.approx(count / sum(expected.values()), abs=0.02)


def test_the_test_split_has_no_purpose_and_shares_of_zero_leave_none():
    nothing = PurposeShares(valid_customer=CustomerShares(sft=0, reward=0, ppo=0))
    assert purpose_of("0", "test", "customer", PurposeShares(), 0) is None
    assert purpose_of("0", "valid", "customer", nothing, 0) is None


def test_labelers_prompts_cannot_be_given_a_share_of_ppo():
    with pytest.raises(ValidationError, match="ppo"):
        LabelerShares(sft=1, reward=1, ppo=1)


def test_purpose_and_split_are_drawn_independently():
    # Were both drawn from one number, all train users' prompts without a user would get the first purposes only.
    even = PurposeShares(train_customer=CustomerShares(sft=1, reward=1, ppo=1))
    train = [key for key in map(str, range(6_000)) if split_of(key, SplitShares(), 0) == "train"]
    shares = shares_of(purpose_of(key, "train", "customer", even, 0) for key in train)
    assert all(share == pytest.approx(1 / 3, abs=0.03) for share in shares.values())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Write a poem about a frog who wants to become an astronaut.", "en"),
        ("Bonjour, comment allez-vous aujourd'hui ?", "fr"),
        ("Was ist die Hauptstadt von Frankreich?", "de"),
        ("¿Cuál es la capital de Perú y cuántos habitantes tiene?", "es"),
        ("你好，请写一首诗", "zh"),
        ("今日はとても良い天気ですね。", "ja"),
        ("Какая столица Франции и сколько там жителей?", "ru"),
        *(
            (text, "und")
            for text in (
                "hello",
                "ok",
                "2+2",
                "12345 67890",
                "",
                "?!",
                "SELECT * FROM t WHERE x=3;",
                "0x7f 0x1a 0x3c 0xff 0x00 0x12 0x99 0xab",
            )
        ),
    ],
)
def test_languages_are_told_where_there_is_enough_to_tell(text, language):
    assert language_of(text, min_confidence=0.5, characters=200) == language


def test_only_the_start_of_a_prompt_is_read_for_its_language():
    text = "Was ist die Hauptstadt von Frankreich?" + " The rest of this is in English." * 20
    assert language_of(text, min_confidence=0.5, characters=38) == "de"
    assert language_of(text, min_confidence=0.5, characters=2_000) == "en"


def test_contradictions_in_the_configuration_are_refused():
    with pytest.raises(ValidationError, match="max_common_prefix is 100"):
        PromptsConfig(max_common_prefix=100)
    with pytest.raises(ValidationError, match="share above 0"):
        SplitShares(train=0, valid=0, test=0)
    with pytest.raises(ValidationError, match="max_prompt"):
        PromptsConfig(max_prompts=3)
