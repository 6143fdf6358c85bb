"""Resident memory: what steps of varied shapes leave behind. Run as a program, it trains and prints what it saw."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the stages train with torch")

from tutelage.training import allocation
from tutelage.training.allocation import FreedMemory

NUM_STEPS = 300
needs_glibc = pytest.mark.skipif(FreedMemory().trim is None, reason="the C library has no malloc_trim")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def varied_windows(rng: random.Random) -> Any:
    """Two to five windows of 4 to 400 tokens: hardly two steps have the same shapes."""
    from tutelage.model.packing import Group

    lengths = [min(400, 4 + int(rng.lognormvariate(4.2, 0.9))) for _ in range(rng.randint(2, 5))]
    return [Group(prompt=[5], responses=[[rng.randrange(3, 500) for _ in range(n)]]) for n in lengths]


def train(out: Path, time_share: float) -> list[int]:
    """Resident bytes after each step."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from tutelage.model.attention import ATTENTION_NAME
    from tutelage.model.policy import Policy
    from tutelage.training.config import OptimizerConfig, SFTConfig
    from tutelage.training.language_modeling import language_term
    from tutelage.training.loop import accumulate_gradients
    from tutelage.training.optim import Optimizer
    from tutelage.training.stage import TrainingRun

    torch.set_num_threads(1)
    config = SFTConfig(out=out, model="m", demonstrations="d", device="cpu", checkpoint_every_num_steps=0)
    stage = TrainingRun("sft", config, resume=False)
    stage.freed = FreedMemory(time_share=time_share)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("llama", vocab_size=512, max_position_embeddings=512, **shape)
    )
    model.set_attn_implementation(ATTENTION_NAME)
    policy = Policy(model, None)  # type: ignore[arg-type]
    optimizer = Optimizer(policy, OptimizerConfig(learning_rate=1e-5), NUM_STEPS)
    rng, after = random.Random(0), []
    for step in stage.steps(NUM_STEPS):
        if step:
            after.append(resident_bytes())
        term = language_term(policy, varied_windows(rng), name="loss", records="")
        accumulate_gradients(term, tokens_per_microbatch=4096, device=stage.device, processes=stage.processes)
        optimizer.step(step, batch="")
    return [*after, resident_bytes()]


@needs_glibc
def test_three_hundred_varied_steps_end_where_thirty_were(tmp_path: Path) -> None:
    """Within 5 %; and the steps between differ by less than 2 MiB (0.4 seen; 6.5 where nothing is given back).

    Of the process most is PyTorch itself, some 400 MiB: 5 % of it alone would hide much.
    """
    command = [sys.executable, __file__, str(tmp_path / "run"), "inf"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == NUM_STEPS
    assert found[-1] <= 1.05 * found[29]
    assert max(found[29:]) - min(found[29:]) <= 2**21


def test_short_steps_spend_a_hundredth_of_their_time_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test: each call takes 1 s, so 100 s pass between two; in 450 s it is done five times."""
    now = 0.0
    monkeypatch.setattr(allocation.time, "monotonic", lambda: now)
    freed, calls = FreedMemory(time_share=0.01), []

    def slow(pad: int) -> int:
        nonlocal now
        now += 1.0
        calls.append((now, pad))
        return 1

    freed.trim = slow
    while now < 450.0:
        freed.give_back()
        now += 0.5
    assert calls == [(1.0, 0), (102.0, 0), (203.0, 0), (304.0, 0), (405.0, 0)]


if __name__ == "__main__":
    print(json.dumps(train(Path(sys.argv[1]), float(sys.argv[2]))))
