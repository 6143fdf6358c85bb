"""Speed and memory of ours: the card's rates, sampling, steps of SFT, reward model and PPO, and where time goes."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers
from gpu_world import (
    GIB,
    ModelShape,
    Report,
    World,
    random_groups,
    random_model,
    random_tokens,
    steady_seconds,
    tokenizer_folder,
)

from tutelage.model.inference import num_response_tokens, num_tokens
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy, ScoreModel, ValueModel
from tutelage.model.sampling import SamplingSettings, sample_responses
from tutelage.model.trials import choose_attention
from tutelage.records import Completion, Demonstration, Ranking
from tutelage.text.render import make_renderer
from tutelage.training.advantages import GeneralizedAdvantages
from tutelage.training.collector import RolloutCollector
from tutelage.training.config import (
    OptimizerConfig,
    PPOConfig,
    PPOTermsConfig,
    PTXConfig,
    RewardConfig,
    SFTConfig,
    TextConfig,
)
from tutelage.training.data import TokenizedExample
from tutelage.training.loop import Term, Update, update
from tutelage.training.optim import Optimizer
from tutelage.training.ppo import PPOTrainer
from tutelage.training.ppo_parts import PPOModels, load_ppo_data, make_generator
from tutelage.training.reward import ranking_term
from tutelage.training.sft import sft_terms
from tutelage.training.stage import TrainingRun

TRAIN = 3.0  # forward, and a backward of twice its work


def machine(world: World, report: Report, _: str) -> None:
    """The card, the versions, and its two ceilings: a large product in the precision of the layers, and a copy."""
    side = 256 if world.is_tiny else 8192
    left, right = (torch.randn(side, side, device=world.device, dtype=getattr(torch, world.dtype)) for _ in range(2))
    product = steady_seconds(world, lambda _: left @ right, num_warm=3, num_timed=10)
    size = side // 2
    wide, other = (torch.randn(size, size, device=world.device) for _ in range(2))
    float32 = 2.0 * size**3 / steady_seconds(world, lambda _: wide @ other, num_warm=2, num_timed=5)
    source = torch.empty(2**20 if world.is_tiny else 2**30, device=world.device)
    source.uniform_()
    target = torch.empty_like(source)
    copy = steady_seconds(world, lambda _: target.copy_(source), num_warm=2, num_timed=10)
    product_rate, copy_rate = 2.0 * side**3 / product, 2.0 * source.numel() * source.element_size() / copy
    is_cuda = world.device.type == "cuda"
    report.card(
        name=torch.cuda.get_device_name(world.device) if is_cuda else f"CPU, {platform.machine()}, tiny shapes",
        memory_gib=round(torch.cuda.get_device_properties(world.device).total_memory / GIB, 1) if is_cuda else None,
        versions=f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"Python {platform.python_version()}",
        product_rate=product_rate,
        copy_rate=copy_rate,
        **{
            f"{world.dtype} product, TFLOP/s": _tera(product_rate),
            "float32 product of half the side, TFLOP/s": _tera(float32),
            "copy, TB/s": _tera(copy_rate),
        },
    )


def _tera(value: float) -> float:
    return round(value / 1e12, 4)


def _policy(world: World, shape: ModelShape, seed: int = 0) -> Policy:
    model = random_model(world, shape, seed=seed)
    choose_attention(model)
    return Policy(model, make_renderer(load_tokenizer(tokenizer_folder(world, shape))), dtype=world.dtype)


def _scalar(world: World, shape: ModelShape, family: Callable[..., Any], seed: int = 1) -> Any:
    model = random_model(world, shape, has_score=True, seed=seed)
    choose_attention(model)
    return family(model, make_renderer(load_tokenizer(tokenizer_folder(world, shape))), dtype=world.dtype)


def sampling(world: World, report: Report, name: str) -> None:
    """Tokens per second, and of the least bytes that they need, at one, 64 and 256 rows that all run to the limit."""
    shape = world.shape(name)
    policy = _policy(world, shape)
    for num_rows in world.row_counts:
        prompt_tokens, response_tokens = sampling_lengths(world, shape, num_rows)
        prompts = random_tokens(shape, num_rows, prompt_tokens, seed=num_rows)
        sample = partial(_sample, policy, prompts)
        sample(1)
        world.forget_peak()
        prefill = world.seconds(partial(sample, 1))
        # The first rollout captures its graphs; all others of a run replay them.
        first = world.seconds(partial(sample, response_tokens))
        seconds = world.seconds(partial(sample, response_tokens))
        more = {"prefill s": prefill, "first call s": first}
        report_sampling(world, report, shape, num_rows, seconds, more=more, what=f"sampling, {num_rows} rows")


def _sample(policy: Policy, prompts: list[list[int]], limit: int) -> None:
    """One response to each prompt; none ends before the limit."""
    sampled = sample_responses(
        policy.model,
        prompts,
        settings=SamplingSettings(max_response_tokens=limit),
        stop_tokens=[policy.model.config.vocab_size],  # never drawn
        generator=torch.Generator().manual_seed(0),
    )
    assert all(len(one.tokens) == limit for own in sampled for one in own)


def sampling_lengths(world: World, shape: ModelShape, num_rows: int) -> tuple[int, int]:
    """512 + 512 at 64 rows of 1.2B. Elsewhere, to save time, fewer steps over about as many columns on average."""
    if world.is_tiny or (shape.name == "1.2B" and num_rows == 64):
        return world.prompt_tokens, world.response_tokens
    return 640, 128


def report_sampling(
    world: World,
    report: Report,
    shape: ModelShape,
    num_rows: int,
    seconds: float,
    *,
    what: str,
    more: dict[str, float],
    **others: Any,
) -> None:
    """One row of the table for a whole call of a sampler, prompts included."""
    prompt_tokens, response_tokens = sampling_lengths(world, shape, num_rows)
    needed = response_tokens * shape.decoding_bytes(num_rows, prompt_tokens + response_tokens / 2)
    report.figure(
        shape.name,
        what,
        num_rows * response_tokens / seconds,
        "tok/s",
        bytes_per_second=needed / seconds,
        peak_gib=world.peak_gib(),
        more={"ms a step": 1000 * seconds / response_tokens, **more},
        **others,
    )


def training(world: World, report: Report, name: str) -> None:
    """A whole step, optimizer included, of SFT and of the reward model at K = 4 and K = 9."""
    shape = world.shape(name)
    _supervised(world, report, shape)
    world.forget_peak()
    _rankings(world, report, shape)


def _settings(world: World, name: str, shape: ModelShape) -> dict[str, Any]:
    return {
        "out": world.scratch / f"run-{name}",
        "device": str(world.device),
        "dtype": world.dtype,
        "checkpoint_every_num_steps": 0,
    }


def _optimizer(model: torch.nn.Module) -> tuple[OptimizerConfig, Optimizer]:
    settings = OptimizerConfig(learning_rate=1e-6, schedule="constant")
    return settings, Optimizer(model, settings, 100)


def _supervised(world: World, report: Report, shape: ModelShape) -> None:
    number = 4 if world.is_tiny else 32
    policy = _policy(world, shape).train()
    folder = tokenizer_folder(world, shape)
    settings, optimizer = _optimizer(policy)
    config = SFTConfig(
        **_settings(world, "sft", shape),
        model=folder,
        demonstrations=folder / "tokenizer.json",
        optimizer=settings,
        residual_dropout=0.0,
    )
    stage = TrainingRun("sft", config, resume=False)

    def step(seed: int) -> list[Group]:
        groups = random_groups(shape, number, world.prompt_tokens, world.response_tokens, seed=seed)
        examples = [TokenizedExample(record=Demonstration(prompt="p", response="r"), group=group) for group in groups]
        update(stage, seed, Update(optimizer=optimizer, terms=sft_terms(policy, examples, [], config)))
        return groups

    _report_step(world, report, shape, step, "SFT step", "tok/s")
    stage.run.lock.release()


def _rankings(world: World, report: Report, shape: ModelShape) -> None:
    model = _scalar(world, shape, ScoreModel).train()
    folder = tokenizer_folder(world, shape)
    settings, optimizer = _optimizer(model)
    config = RewardConfig(
        **_settings(world, "reward", shape), model=folder, rankings=folder / "tokenizer.json", optimizer=settings
    )
    stage = TrainingRun("reward", config, resume=False)
    for num_completions, number in ((4, 12), (9, 6)):
        ids = [f"c{k}" for k in range(num_completions)]
        record = Ranking(
            prompt="p", completions=[Completion(id=name, text=name) for name in ids], ranking=[[name] for name in ids]
        )

        def step(
            seed: int,
            record: Ranking = record,
            number: int = 2 if world.is_tiny else number,
            num_completions: int = num_completions,
        ) -> list[Group]:
            groups = random_groups(
                shape,
                number,
                world.prompt_tokens,
                world.response_tokens,
                num_responses=num_completions,
                seed=seed,
            )
            examples = [TokenizedExample(record=record, group=group) for group in groups]
            update(stage, seed, Update(optimizer=optimizer, terms=[ranking_term(model, examples)]))
            return groups

        _report_step(world, report, shape, step, f"reward model step, K = {num_completions}", "tok/s", has_head=False)
    stage.run.lock.release()


def _report_step(
    world: World,
    report: Report,
    shape: ModelShape,
    step: Callable[[int], list[Group]],
    what: str,
    unit: str,
    *,
    has_head: bool = True,
) -> None:
    step(0)
    world.forget_peak()
    groups = step(1)
    seconds = steady_seconds(world, lambda n: step(2 + n), num_warm=1, num_timed=3)
    flop = TRAIN * sum(_forward_flop(shape, group, has_head=has_head) for group in groups)
    report.figure(
        shape.name,
        what,
        num_tokens(groups) / seconds,
        unit,
        flop_per_second=flop / seconds,
        peak_gib=world.peak_gib(),
        more={"s a step": seconds, "tokens a step": num_tokens(groups)},
    )


def _forward_flop(shape: ModelShape, group: Group, *, has_head: bool) -> float:
    """Of real tokens only: a prompt once, however many responses it has."""
    prompt, lengths = len(group.prompt), [len(response) for response in group.responses]
    total = shape.forward_flop(prompt, prompt / 2)
    for length in lengths:
        total += shape.forward_flop(length, prompt + length / 2, length if has_head else 0)
    return total


def ppo_flop(shape: ModelShape, groups: list[Group]) -> float:
    """Of one step of PPO with one epoch: what must be computed, whatever computes it.

    Sampled, policy, reference and trained policy have the vocabulary head; score, old value and trained value have not.
    """
    with_head = sum(_forward_flop(shape, group, has_head=True) for group in groups)
    without = sum(_forward_flop(shape, group, has_head=False) for group in groups)
    return (3 + TRAIN) * with_head + (2 + TRAIN) * without


def episodes(world: World, shape: ModelShape) -> int:
    """Of one PPO step; all of them are one minibatch."""
    return 4 if world.is_tiny else (32 if shape.name == "1.2B" else 64)


def microbatch_tokens(shape: ModelShape) -> int:
    """Policy, value model, reference, score model and moving average of 1.2 B weights leave little beside them."""
    return 4096 if shape.name == "1.2B" else 8192


def ppo_step(world: World, report: Report, name: str) -> None:
    """A PPO step end to end with its parts, responses to the limit."""
    shape = world.shape(name)
    folder, number = tokenizer_folder(world, shape), episodes(world, shape)
    prompts = world.scratch / "prompts.jsonl"
    rows = random_tokens(shape, 3 * number, world.prompt_tokens, seed=5)
    prompts.write_text("".join(json.dumps({"text": " ".join(f"w{t}" for t in row)}) + "\n" for row in rows))
    optimizer = OptimizerConfig(learning_rate=1e-6, schedule="constant")
    config = PPOConfig(
        **_settings(world, "ppo", shape),
        policy=folder,
        reward_model=folder,
        prompts=prompts,
        tokens_per_microbatch=microbatch_tokens(shape),
        text=TextConfig(max_response_tokens=world.response_tokens),
        num_episodes=3 * number,
        episodes_per_step=number,
        episodes_per_minibatch=number,
        ppo=PPOTermsConfig(missing_eos_score=None),
        ptx=PTXConfig(coef=0.0),
        policy_optimizer=optimizer,
        value_optimizer=optimizer,
    )
    stage = TrainingRun("ppo", config, resume=False)
    policy, reference = _policy(world, shape), _policy(world, shape).requires_grad_(False)
    score_model = _scalar(world, shape, ScoreModel).requires_grad_(False)
    models = PPOModels(policy=policy, reference=reference, score_model=score_model)
    data = load_ppo_data(config, models)
    collector = RolloutCollector(
        stage,
        config,
        policy=policy,
        reference=reference,
        score_model=score_model,
        generator=make_generator(policy),
        data=data,
    )
    estimator = GeneralizedAdvantages(_scalar(world, shape, ValueModel), config)
    trainer = PPOTrainer(stage, config, policy=policy, collector=collector, estimator=estimator, data=data)
    # The first step is for warming up, with short responses.
    short = config.model_copy(update={"text": TextConfig(max_response_tokens=min(8, world.response_tokens))})
    for step, collector.config in enumerate((short, config)):
        world.forget_peak()
        stage.timer.take()
        metrics = trainer.step(step)
        timings = stage.timer.take()
        parts = {key.partition("/")[2]: value for key, value in timings.items() if key.startswith("seconds/")}
        print(f"step {step}: {timings} {metrics}", flush=True)
    length = max(1, round(metrics["response_tokens"]))
    groups = [Group(prompt=[0] * world.prompt_tokens, responses=[[0] * length])] * number
    report.figure(
        shape.name,
        "PPO step",
        number * (world.prompt_tokens + metrics["response_tokens"]) / timings["seconds"],
        "tok/s",
        flop_per_second=ppo_flop(shape, groups) / timings["seconds"],
        peak_gib=world.peak_gib(),
        more={"s a step": timings["seconds"], "episodes": number, **parts},
    )
    report.check(
        f"{name} in {world.dtype}: mean |sampled - recomputed| log-probability, nats",
        metrics["sampling_drift"],
        limit=0.2,
    )
    stage.run.lock.release()


def profile(world: World, report: Report, name: str) -> None:
    """Where the device's time goes in one SFT step and in 16 tokens of sampling, by kind of kernel."""
    shape = world.shape(name)
    policy = _policy(world, shape)
    prompts = random_tokens(shape, 64, world.prompt_tokens, seed=1)

    groups = random_groups(shape, 8, world.prompt_tokens, world.response_tokens)
    settings, optimizer = _optimizer(policy)
    folder = tokenizer_folder(world, shape)
    config = SFTConfig(
        **_settings(world, "profile", shape), model=folder, demonstrations=folder / "tokenizer.json", optimizer=settings
    )
    stage = TrainingRun("sft", config, resume=False)
    examples = [TokenizedExample(record=Demonstration(prompt="p", response="r"), group=group) for group in groups]

    def train() -> None:
        terms: list[Term] = sft_terms(policy, examples, [], config)
        update(stage, 0, Update(optimizer=optimizer, terms=terms))

    assert num_response_tokens(groups) > 0
    for what, work in (
        ("SFT step of 8 x 1024 tokens", train),
        ("prompts and 16 tokens of 64 rows", partial(_sample, policy, prompts, 16)),
    ):
        work()
        shares, seconds, launches = _kernel_seconds(world, work)
        busy = sum(shares.values())
        more = {kind: f"{own / busy:.0%}" for kind, own in sorted(shares.items(), key=lambda item: -item[1])}
        report.figure(
            shape.name,
            f"profile: {what}",
            1000 * seconds,
            "ms",
            more={"busy": f"{busy / seconds:.0%}", "kernels": launches, **more},
        )
    stage.run.lock.release()


KINDS = (
    ("attention", ("flash", "fmha", "attention", "mem_eff", "cudnn")),
    ("product", ("gemm", "cutlass", "nvjet", "cublas", "sgemm", "matmul", "addmm")),
    ("optimizer", ("adam", "multi_tensor")),
    ("softmax", ("softmax", "nll", "logsumexp")),
    ("copy and convert", ("copy", "memcpy", "memset", "fill", "convert", "catarray")),
    ("index", ("index", "gather", "scatter", "embedding")),
    ("reduce", ("reduce", "scan", "sort")),
)


def _kernel_seconds(world: World, work: Callable[[], Any]) -> tuple[dict[str, float], float, int]:
    """Seconds of the device by kind of kernel, wall seconds without the profiler, and the number of kernels."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    seconds = world.seconds(work)
    is_cuda = world.device.type == "cuda"
    with watch(activities=[ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU]) as watched:
        work()
        world.wait()
    found: dict[str, float] = defaultdict(float)
    number = 0
    for event in watched.events() or ():
        if is_cuda:
            # Kernels, not the calls that launch them, nor the spans that the optimizer marks around its own.
            is_own = event.device_type != DeviceType.CPU and not event.name.startswith(("Optimizer.", "Profiler"))
            own = event.time_range.elapsed_us() if is_own else 0.0
        else:
            own = event.self_cpu_time_total
        if own <= 0:
            continue
        number += 1
        lowered = event.name.lower()
        kind = next((kind for kind, words in KINDS if any(word in lowered for word in words)), "elementwise and other")
        found[kind] += own / 1e6
    return dict(found), seconds, number
