"""What the village hands to a run: pages for a base model to read, what its users sent, and what stays unseen."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tutelage.evaluation.records import HELDOUT, TRAINING
from tutelage.records import Completion, Prompt
from tutelage.reproduction import village
from tutelage.reproduction.experiment import Reproduction
from tutelage.reproduction.simulated import VILLAGE_DATA, rank_by
from tutelage.reproduction.village import probes
from tutelage.reproduction.village.lexicon import FOREIGN
from tutelage.seeds import derived_seed
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import read_records, read_rows, write_records
from tutelage.workflow.experiment import Experiment

# Sets of test prompts that fine-tuning never sees, taken out of everything that users sent in [4.3].
OUTSIDE_SETS = ("use_case", "language")


def write_world(run: Reproduction) -> None:
    """The text that the base model reads, and what users sent in.

    What the recipe holds out of fine-tuning is kept apart, in data/held_out.jsonl.
    """
    recipe, measuring = run.recipe, run.recipe.measuring
    held_out = (
        {}
        if measuring is None
        else {
            "held_out_use_case": measuring.held_out_use_case,
            "held_out_language": measuring.held_out_language,
        }
    )
    run.do(
        "world",
        lambda _: _write_world(run),
        needs={"village": VILLAGE_DATA},
        more={"num_documents": recipe.num_documents, "num_raw_prompts": recipe.num_raw_prompts, **held_out},
        leaves=(run.text, run.raw_prompts, *((run.held_out,) if held_out else ())),
        modules=(__name__,),
    )


def _write_world(run: Reproduction) -> dict[str, int]:
    documents = village.pretraining_documents(
        run.village, num_documents=run.recipe.num_documents, seed=derived_seed(run.seed, "documents")
    )
    with atomic_file(run.text) as handle:
        num_documents = sum(bool(handle.write(f"{document}\n<|endoftext|>\n".encode())) for document in documents)
    raw = village.raw_prompts(
        run.village, num_prompts=run.recipe.num_raw_prompts, seed=derived_seed(run.seed, "prompts")
    )
    if run.recipe.measuring is None:
        return {"documents": num_documents, "raw_prompts": write_records(run.raw_prompts, raw)}
    num_outside = write_records(run.held_out, [own for own in raw if is_held_out(run, own)])
    num_inside = write_records(run.raw_prompts, [own for own in raw if not is_held_out(run, own)])
    return {"documents": num_documents, "raw_prompts": num_inside, "held_out": num_outside}


def is_held_out(run: Reproduction, prompt: Prompt) -> bool:
    """Whether a prompt is of the use case or in the language that fine-tuning must not see."""
    task = village.task_of(prompt)
    texts = {text for language, text, _ in FOREIGN if language == run.measuring.held_out_language}
    is_in_language = bool(task.get("is_foreign")) and task["prompt"] in texts
    return is_in_language or probes.is_outside(prompt, "use_case", use_case=run.measuring.held_out_use_case)


def outside_prompts(run: Reproduction, which: str) -> list[Prompt]:
    """The prompts that test a set; the few of the language come several times, for as many completions."""
    if which == "use_case":
        return probes.use_case_prompts(
            run.village,
            num_prompts=run.measuring.num_outside_prompts,
            seed=derived_seed(run.seed, "outside"),
            use_case=run.measuring.held_out_use_case,
        )
    language = run.measuring.held_out_language
    written = [prompt for prompt in probes.foreign_prompts() if prompt.language == language]
    known = {text for own, text, _ in FOREIGN if own == language}
    # What users sent and was held out, each text once.
    sent = {prompt.flat: prompt for prompt in read_records(run.held_out, Prompt) if prompt.text in known}
    number = run.measuring.completions_per_foreign_prompt
    return [prompt for prompt in [*written, *sent.values()] for _ in range(number)]


def collect_heldout_rankings(run: Reproduction) -> None:
    """Two held-out labelers rank each validation prompt: the reward model has learned from none of them [3.5]."""
    people = run.people[HELDOUT]

    def write(_: Experiment) -> int:
        rng = Random(derived_seed(run.seed, "rankings", "heldout"))
        return write_records(
            run.data("rankings_heldout"),
            [
                rank_by(run.village, prompt, completions, labeler, rng)
                for prompt, completions in _completions(run)
                for labeler in rng.sample(people, 2)
            ],
        )

    run.do(
        "rankings_heldout",
        write,
        needs={"completions": run.data("completions_valid"), "village": VILLAGE_DATA},
        more={"labelers": [repr(labeler) for labeler in people]},
        leaves=(run.data("rankings_heldout"),),
        modules=(__name__,),
    )


def _completions(run: Reproduction) -> list[tuple[Prompt, list[Completion]]]:
    return [
        (Prompt.model_validate(row["prompt"]), [Completion.model_validate(own) for own in row["completions"]])
        for _, row in read_rows(run.data("completions_valid"))
    ]


def write_templated(run: Reproduction) -> None:
    """Demonstrations of templated skills, for the FLAN-like and the T0-like arm."""
    styles = run.recipe.templated_styles

    def write(_: Experiment) -> dict[str, int]:
        seed = derived_seed(run.seed, "templated")
        return {
            style: write_records(
                run.data(style),
                probes.templated_demonstrations(
                    run.village, style, num_demonstrations=run.recipe.num_templated, seed=seed
                ),
            )
            for style in styles
        }

    run.do(
        "templated",
        write,
        needs={"village": VILLAGE_DATA},
        more={"styles": list(styles), "num_templated": run.recipe.num_templated},
        leaves=tuple(map(run.data, styles)),
        modules=(__name__,),
    )


def valid_rankings(run: Reproduction) -> dict[str, Path | str]:
    """The files of rankings of validation prompts, by the group of labelers who made them."""
    return {TRAINING: run.data("rankings_valid"), HELDOUT: run.data("rankings_heldout")}
