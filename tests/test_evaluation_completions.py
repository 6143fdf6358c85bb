"""Completions of a tiny policy: what they go on from, how they are drawn, where they end, what they are called."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="policies are sampled")

from tiny import CONTEXT
from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm, complete
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Completion, Prompt
from tutelage.text.render import Renderer

PROMPTS = [Prompt(id=f"p{i}", text=f"{i}: where is the cat?") for i in range(4)]
DRAWN, LIKELIEST = SamplingSettings(max_response_tokens=12), SamplingSettings(max_response_tokens=12, temperature=0.0)


def flat(found: list[list[Completion]]) -> list[Completion]:
    return [own for several in found for own in several]


def texts(found: list[list[Completion]]) -> list[list[str]]:
    return [[own.text for own in several] for several in found]


@pytest.fixture
def arm(tiny):
    return Arm(name="sft", model=tiny.policy)


def test_a_prompt_that_just_fits_gets_its_completion_and_one_token_more_is_refused(arm, tokenizer):
    room = CONTEXT - len(Renderer(tokenizer=tokenizer).prompt_tokens(PROMPTS[0]))
    ((own,),) = complete(arm, PROMPTS[:1], settings=SamplingSettings(max_response_tokens=room), seed=0)
    assert own.num_tokens <= room
    with pytest.raises(DataError, match="prompt p0 has"):
        complete(arm, PROMPTS[:1], settings=SamplingSettings(max_response_tokens=room + 1), seed=0)


def test_a_draw_is_of_its_seed_and_of_its_arm(arm):
    first = texts(complete(arm, PROMPTS, settings=DRAWN, seed=1))
    assert texts(complete(arm, PROMPTS, settings=DRAWN, seed=1)) == first
    assert texts(complete(arm, PROMPTS, settings=DRAWN, seed=2)) != first
    assert texts(complete(replace(arm, name="ppo"), PROMPTS, settings=DRAWN, seed=1)) != first


def test_a_response_ends_at_the_first_stop_text_and_is_complete_there(arm):
    plain = complete(arm, PROMPTS, settings=DRAWN, seed=1, num_completions=4)
    cut_off = [own.text for own in flat(plain) if not own.is_complete]
    stop = next(text[1] for text in cut_off if text.count(text[1]) > 1 and text[1] != " ")
    stopped = complete(replace(arm, stop_text=stop), PROMPTS, settings=DRAWN, seed=1, num_completions=4)
    for own, whole in zip(flat(stopped), flat(plain), strict=True):
        assert own.text == whole.text.split(stop)[0].strip()
        assert own.is_complete == (whole.is_complete or stop in whole.text)


def test_a_prefix_stands_before_every_prompt(arm):
    found = texts(complete(replace(arm, prefix="The cat sleeps. "), PROMPTS, settings=LIKELIEST, seed=0))
    written = [Prompt(id=prompt.id, text=f"The cat sleeps. {prompt.text}") for prompt in PROMPTS]
    assert found == texts(complete(arm, written, settings=LIKELIEST, seed=0))
    assert found != texts(complete(arm, PROMPTS, settings=LIKELIEST, seed=0))


def test_completions_of_one_text_have_ids_of_their_own(arm):
    """At temperature 0 both draws of both arms say the same of a prompt."""
    arms = arm, replace(arm, name="again")
    found = [complete(each, PROMPTS, settings=LIKELIEST, seed=0, num_completions=2) for each in arms]
    assert texts(found[0]) == texts(found[1]) and all(len(set(own)) == 1 for own in texts(found[0]))
    assert len({own.id for several in found for own in flat(several)}) == 2 * 2 * len(PROMPTS)
