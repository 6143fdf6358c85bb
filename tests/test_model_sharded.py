"""Policy, score and value model under `fully_shard` on two processes: the same numbers to the bit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import pytest

NUM_PROCESSES = 2
KINDS = ("Policy", "ScoreModel", "ValueModel")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sharded_model_gives_the_numbers_of_a_whole_one(kind: str) -> None:
    pytest.importorskip("torch")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(NUM_PROCESSES):
        settings = {"RANK": rank, "WORLD_SIZE": NUM_PROCESSES, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
        command = [sys.executable, __file__, kind]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    printed = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * NUM_PROCESSES, "\n".join(printed)


def compare(kind: str) -> None:
    """Numbers and gradients of one model, whole and in shards; every process reads the same batch."""
    import copy

    import torch
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    from tiny import config_of, model_of
    from tutelage.model import policy
    from tutelage.model.attention import ATTENTION_NAME
    from tutelage.model.packing import Group, pack

    torch.set_num_threads(1)
    model = model_of(config_of("llama"), has_score=kind != "Policy")
    model.set_attn_implementation(ATTENTION_NAME)
    make: Any = getattr(policy, kind)
    whole, sharded = make(model, None), make(copy.deepcopy(model), None)
    for layer in sharded.model.model.layers:
        fully_shard(layer)
    fully_shard(sharded)
    assert all(isinstance(parameter, DTensor) for parameter in sharded.parameters())
    batch = pack([Group(prompt=[5, 6, 7], responses=[[8, 9], [10]]), Group(prompt=[4], responses=[[3, 2, 6]])])
    numbers = []
    for one in (whole, sharded):
        found = one(batch)
        numbers.append(found.logprobs if kind == "Policy" else found)
        (numbers[-1] ** 2).sum().backward()
    assert torch.equal(numbers[0], numbers[1])
    own = dict(sharded.named_parameters())
    for name, parameter in whole.named_parameters():
        if parameter.grad is not None:
            gathered = own[name].grad.full_tensor()  # the mean over processes that have read the same
            torch.testing.assert_close(gathered, parameter.grad, atol=1e-6, rtol=1e-6)


if __name__ == "__main__":
    import torch.distributed

    torch.distributed.init_process_group("gloo")
    compare(sys.argv[1])
    torch.distributed.destroy_process_group()
