"""The memory formula: by hand, and against the peak of a real step. Run as a program, it measures one."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tutelage.model.footprint import (
    Shape,
    activation_bytes,
    cache_bytes,
    logits_bytes,
    ppo_bytes,
    sft_bytes,
    weight_bytes,
)

SMOL = Shape(width=576, num_layers=30, key_width=192, inner_width=1536, vocab_size=49152)
SMALL = Shape(width=256, num_layers=6, key_width=128, inner_width=512, vocab_size=16384)
NUM_TOKENS = 1024
TOLERANCE = 0.2


def test_weights_by_hand() -> None:
    """SmolLM2-135M has 134,515,008: 49,152 * 576 + 30 * (2 * 576 * 768 + 3 * 576 * 1,536 + 2 * 576) + 576."""
    assert SMOL.num_weights == 134_515_008
    assert weight_bytes(SMOL) == 16 * 134_515_008
    # Rank 16: 30 * 16 * (q 1,152 + k 768 + v 768 + o 1,152 + 3 * 2,112) = 4,884,480.
    assert SMOL.num_adapter_weights(16) == 4_884_480
    assert weight_bytes(SMOL, lora_rank=16) == 4 * 134_515_008 + 16 * 4_884_480


def test_activations_logits_and_cache_by_hand() -> None:
    """Per token and layer 9 * 256 + 4 * 128 + 4.5 * 512 = 5,120 floats; adapters add 3 * 256 + 2 * 128 + 2 * 512."""
    assert activation_bytes(SMALL, 10) == 4 * 6 * 10 * 5120
    assert activation_bytes(SMALL, 10, has_adapters=True) == 4 * 6 * 10 * (5120 + 2048)
    assert logits_bytes(SMALL, 10) == 4 * 3 * 10 * 16384
    assert logits_bytes(SMALL, 10**6) == 4 * 3 * 2**25, "one chunk at a time"
    assert cache_bytes(SMALL, 100) == 2 * 4 * 6 * 128 * 256 * 100


def test_ppo_counts_every_model_and_what_is_larger() -> None:
    """Two trained models (16 bytes a weight); reward model, reference and average (4 each); learning or sampling."""
    weights = 44 * SMALL.num_weights
    learning = activation_bytes(SMALL, 64) + logits_bytes(SMALL, 64)
    assert ppo_bytes(SMALL, tokens_per_microbatch=64, num_columns=2) == weights + learning
    assert ppo_bytes(SMALL, tokens_per_microbatch=1, num_columns=500) == weights + cache_bytes(SMALL, 500)
    # With adapters the reference is the policy without them: three frozen copies, and 16 + 16 + 4 bytes an adapter's.
    own = 12 * SMALL.num_weights + 36 * SMALL.num_adapter_weights(8)
    found = ppo_bytes(SMALL, tokens_per_microbatch=1, num_columns=500, lora_rank=8)
    assert found == own + cache_bytes(SMALL, 500)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident memory of Linux")
@pytest.mark.parametrize("lora_rank", [0, 8])
def test_the_formula_is_the_peak_of_a_real_step(lora_rank: int) -> None:
    """Within a fifth (1.00 and 1.10 times seen), where leaving out any one term would be further off."""
    pytest.importorskip("torch", reason="measures a training step")
    command = [sys.executable, __file__, str(lora_rank)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    expected = sft_bytes(SMALL, tokens_per_microbatch=NUM_TOKENS, lora_rank=lora_rank)
    assert found["num_weights"] == SMALL.num_weights + (SMALL.num_adapter_weights(lora_rank) if lora_rank else 0)
    assert found["peak"] == pytest.approx(expected, rel=TOLERANCE), f"{found['peak'] / expected:.2f}"
    terms = [activation_bytes(SMALL, NUM_TOKENS, has_adapters=lora_rank > 0), logits_bytes(SMALL, NUM_TOKENS)]
    terms += [] if lora_rank else [weight_bytes(SMALL)]
    for term in terms:
        assert abs(expected - term - found["peak"]) > TOLERANCE * (expected - term), "a forgotten term would pass"


def measure(lora_rank: int) -> dict[str, Any]:
    """Highest resident bytes of a step of `NUM_TOKENS`, above those before the model was made; and its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from tutelage.model.adapters import add_lora
    from tutelage.model.attention import ATTENTION_NAME
    from tutelage.model.packing import Group
    from tutelage.model.policy import Policy
    from tutelage.training.config import OptimizerConfig
    from tutelage.training.language_modeling import language_term
    from tutelage.training.loop import accumulate_gradients
    from tutelage.training.optim import Optimizer
    from tutelage.training.processes import Processes

    torch.set_num_threads(1)

    def step(num_groups: int, size: int = 64) -> None:
        groups = [Group(prompt=[5], responses=[[7] * (size - 1)])] * num_groups
        term = language_term(Policy(model, None), groups, name="loss", records="")  # type: ignore[arg-type]
        device = torch.device("cpu")
        accumulate_gradients(term, tokens_per_microbatch=NUM_TOKENS, device=device, processes=Processes())
        optimizer.step(0, batch="")

    def make(shape: Shape) -> tuple[Any, Any]:
        config = AutoConfig.for_model(
            "llama", vocab_size=shape.vocab_size, hidden_size=shape.width, intermediate_size=shape.inner_width
        )
        config.update({"num_hidden_layers": shape.num_layers, "num_attention_heads": 4, "num_key_value_heads": 2})
        config.update({"head_dim": shape.width // 4, "tie_word_embeddings": True, "max_position_embeddings": 512})
        model = AutoModelForCausalLM.from_config(config).train()
        model.set_attn_implementation(ATTENTION_NAME)
        if lora_rank:
            add_lora(model, rank=lora_rank, alpha=16.0, seed=0)
        return model, Optimizer(model, OptimizerConfig(learning_rate=1e-5), 10)

    # A small model first, for all that PyTorch makes once.
    model, optimizer = make(Shape(width=32, num_layers=1, key_width=16, inner_width=32, vocab_size=64))
    step(1)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    model, optimizer = make(SMALL)
    step(NUM_TOKENS // 64)
    step(NUM_TOKENS // 64)
    status = Path("/proc/self/status").read_text()
    highest = 1024 * int(status.split("VmHWM:")[1].split()[0])
    return {"peak": highest - before, "num_weights": sum(p.numel() for p in model.parameters())}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
