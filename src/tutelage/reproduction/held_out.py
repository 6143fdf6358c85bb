"""What fine-tuning never sees: a use case and a language, taken out of everything that users sent in (section 4.3)."""

from __future__ import annotations

from tutelage.records import Prompt
from tutelage.reproduction import village
from tutelage.reproduction.labels import write_world
from tutelage.reproduction.sizes import FullRun
from tutelage.reproduction.village import probes
from tutelage.reproduction.village.lexicon import FOREIGN
from tutelage.seeds import derived_seed
from tutelage.store.jsonl import read_records, write_records

SETS = ("use_case", "language")


def write_world_without_held_out(run: FullRun) -> dict[str, int]:
    """As `write_world`; prompts of the held-out use case and language are kept apart, in data/held_out.jsonl."""
    counts = write_world(run)
    path = run.data / "raw_prompts.jsonl"
    prompts = list(read_records(path, Prompt))
    num_outside = write_records(run.data / "held_out.jsonl", [own for own in prompts if is_held_out(run, own)])
    num_inside = write_records(path, [own for own in prompts if not is_held_out(run, own)])
    return {**counts, "raw_prompts": num_inside, "held_out": num_outside}


def is_held_out(run: FullRun, prompt: Prompt) -> bool:
    """Whether a prompt is of the use case or in the language that fine-tuning must not see."""
    task = village.task_of(prompt)
    texts = {text for language, text, _ in FOREIGN if language == run.full.held_out_language}
    is_in_language = bool(task.get("is_foreign")) and task["prompt"] in texts
    return is_in_language or probes.is_outside(prompt, "use_case", use_case=run.full.held_out_use_case)


def outside_prompts(run: FullRun, which: str) -> list[Prompt]:
    """The prompts that test a set; the few of the language come several times, for as many completions."""
    if which == "use_case":
        return probes.use_case_prompts(
            run.world,
            num_prompts=run.full.num_outside_prompts,
            seed=derived_seed(run.seed, "outside"),
            use_case=run.full.held_out_use_case,
        )
    written = [prompt for prompt in probes.foreign_prompts() if prompt.language == run.full.held_out_language]
    known = {text: x for language, text, x in FOREIGN if language == run.full.held_out_language}
    sent = [prompt for prompt in _sent(run) if prompt.text in known]
    return [prompt for prompt in [*written, *sent] for _ in range(run.full.completions_per_foreign_prompt)]


def _sent(run: FullRun) -> list[Prompt]:
    """What users sent and was held out, each text once."""
    prompts = {prompt.flat: prompt for prompt in read_records(run.data / "held_out.jsonl", Prompt)}
    return list(prompts.values())
