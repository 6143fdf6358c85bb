"""Demonstrations, rankings, prompts and text for `src/tutelage/recipes/real.yaml`, from sets that others published.

    python examples/real_data.py ../shared/data runs/real/data
    tutelage run src/tutelage/recipes/real.yaml

Reads, all in forms that Tutelage knows:
- `preferences/alpaca_eval_gpt4_k9.jsonl.gz`: nine completions a prompt, ordered by a model's judgment;
- `preferences/oasst_100trees.jsonl.gz`: replies by people, ranked by people;
- `preferences/finegrained_rlhf_dev.jsonl.gz`: four completions a question, every pair judged by people;
- `demonstrations/seed_tasks.jsonl.gz`: tasks with responses by people;
- `pretraining/gutenberg_simple.txt.xz`: public-domain books.

A response that had to be cut would teach the reward model that what breaks off is liked, or disliked: completions of
more than MAX_WORDS words are left out, with what was said about them. Prompts of the part `selfinstruct` of the
nine-way set are those of the user-oriented instructions, whose authors ask that nobody trains on them: they are only
evaluated on. The others with two short completions or more are ranked; PPO gets those with fewer, so that its prompts
are not those of its reward model.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from tutelage.errors import DataError, UserError
from tutelage.records import Demonstration, Prompt, Ranking, content_id
from tutelage.store.documents import load_text_documents
from tutelage.store.jsonl import read_rows, write_records, write_rows
from tutelage.store.sources import load_demonstrations, load_rankings

MAX_WORDS = 50  # of a response; about 70 tokens
MAX_PROMPT_WORDS = 50
EVALUATED_ONLY = "selfinstruct"
NUM_VALIDATION = 92  # prompts of EVALUATED_ONLY whose rankings are held out; the policies respond to the other 160
NUM_WHOLE = 40  # of these, with all nine completions, the long ones too
NUM_FOLDS = 3
NUM_BOOKS, PAGE_CHARACTERS = 8, 1500
NINE_WAY, OASST, FINEGRAINED = (
    f"preferences/{name}.jsonl.gz" for name in ("alpaca_eval_gpt4_k9", "oasst_100trees", "finegrained_rlhf_dev")
)
TASKS, BOOKS = "demonstrations/seed_tasks.jsonl.gz", "pretraining/gutenberg_simple.txt.xz"


def is_short(text: str, limit: int = MAX_WORDS) -> bool:
    return 0 < len(text.split()) <= limit


def flat(record: Demonstration | Ranking) -> str:
    return record.prompt if record.prompt is not None else " ".join(m.content for m in record.messages or ())


def shortened(ranking: Ranking) -> Ranking | None:
    """The ranking of its short completions alone; None where fewer than two are left, or nothing was judged of them."""
    kept = [completion for completion in ranking.completions if is_short(completion.text)]
    if len(kept) < 2:
        return None
    ids = {completion.id for completion in kept}
    groups = [tuple(identity for identity in group if identity in ids) for group in ranking.ranking]
    changes: dict[str, object] = {"completions": tuple(kept), "ranking": tuple(group for group in groups if group)}
    if ranking.comparisons is not None:
        changes["comparisons"] = tuple(pair for pair in ranking.comparisons if ids.issuperset(pair))
    shorter = ranking.model_copy(update=changes)
    return shorter if shorter.pairs() else None


def best_of(ranking: Ranking) -> Demonstration | None:
    """The completion that was ranked best, where it is short, as a demonstration."""
    best = next(completion for completion in ranking.completions if completion.id == ranking.ranking[0][0])
    if not is_short(best.text):
        return None
    return Demonstration(prompt=ranking.prompt, messages=ranking.messages, response=best.text, source=OASST)


def nine_way_by_part(path: Path) -> dict[str, list[Ranking]]:
    """The rankings of the nine-way set by the part (`dataset`) that their prompts are of."""
    parts: dict[str, list[Ranking]] = {}
    for (_, row), ranking in zip(read_rows(path), load_rankings(path), strict=True):
        parts.setdefault(str(row["dataset"]), []).append(ranking)
    return parts


def folds(rankings: Iterable[Ranking], number: int) -> list[list[Ranking]]:
    """`number` parts by the prompt's text, so that no prompt is in two."""
    parts: list[list[Ranking]] = [[] for _ in range(number)]
    for ranking in rankings:
        parts[int(content_id("fold", flat(ranking).casefold()), 16) % number].append(ranking)
    return parts


def without_passages(path: Path) -> Iterator[dict[str, object]]:
    """The rows without the passages that they ask about, of 660 tokens: a fold would take hours with them."""
    for _, row in read_rows(path):
        yield {key: value for key, value in row.items() if key != "passages"}


def pages(documents: Iterable[str]) -> Iterator[dict[str, str]]:
    """The documents cut at paragraphs into pages of about PAGE_CHARACTERS."""
    for document in documents:
        page = ""
        for paragraph in document.split("\n\n"):
            page += paragraph + "\n\n"
            if len(page) >= PAGE_CHARACTERS:
                yield {"text": page.strip()}
                page = ""


def prompts_of(rankings: Iterable[Ranking], **fields: str) -> list[Prompt]:
    return [
        Prompt.model_validate({"text": r.prompt, "id": r.prompt_id, "source": NINE_WAY, **fields})
        for r in rankings
        if r.prompt is not None and is_short(r.prompt, MAX_PROMPT_WORDS)
    ]


def make(shared: Path, out: Path, *, num_questions: int) -> dict[str, int]:
    """Write the files; returns how many records each has."""
    parts = nine_way_by_part(shared / NINE_WAY)
    evaluated = parts.pop(EVALUATED_ONLY, [])
    if len(evaluated) <= NUM_VALIDATION or not parts:
        raise DataError(f"{shared / NINE_WAY} has {len(evaluated)} prompts of the part {EVALUATED_ONLY!r}: is it cut?")
    random.Random(0).shuffle(evaluated)
    held_out, tested = evaluated[:NUM_VALIDATION], evaluated[NUM_VALIDATION:]
    trained = [ranking for part in parts.values() for ranking in part]
    by_people = list(load_rankings(shared / OASST))
    ranked = [s for r in trained if is_short(r.prompt or "", MAX_PROMPT_WORDS) and (s := shortened(r))]
    ranked_ids = {ranking.prompt_id for ranking in ranked}
    unranked = [ranking for ranking in trained if ranking.prompt_id not in ranked_ids]
    tasks = load_demonstrations(shared / TASKS)
    demonstrations = [d for r in by_people if (d := best_of(r))] + [d for d in tasks if is_short(d.response)]
    counts = {
        "demonstrations": write_records(
            out / "demonstrations.jsonl", (d for d in demonstrations if is_short(flat(d), MAX_PROMPT_WORDS))
        ),
        "rankings": write_records(
            out / "rankings.jsonl",
            [*ranked, *(s for r in by_people if is_short(flat(r), MAX_PROMPT_WORDS) and (s := shortened(r)))],
        ),
        "rankings_valid": write_records(out / "rankings_valid.jsonl", [s for r in held_out if (s := shortened(r))]),
        "nine_way": write_records(out / "nine_way.jsonl", held_out[:NUM_WHOLE]),
        "prompts": write_records(
            out / "prompts.jsonl",
            [*prompts_of(unranked, split="train", purpose="ppo"), *prompts_of(tested, split="test")],
        ),
        "text": write_rows(out / "text.jsonl", pages(islice(load_text_documents(shared / BOOKS), NUM_BOOKS))),
    }
    questions = out / "questions.jsonl"
    counts["questions"] = write_rows(questions, islice(without_passages(shared / FINEGRAINED), num_questions))
    parted = folds(load_rankings(questions), NUM_FOLDS)
    for number, fold in enumerate(parted):
        rest = [ranking for other in range(NUM_FOLDS) if other != number for ranking in parted[other]]
        counts[f"fold{number}"] = write_records(out / f"fold{number}.jsonl", fold)
        counts[f"train{number}"] = write_records(out / f"train{number}.jsonl", rest)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--questions", type=int, default=90, help="of the finegrained set, in three folds")
    arguments = parser.parse_args()
    try:
        counts = make(arguments.shared, arguments.out, num_questions=arguments.questions)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    for name, count in counts.items():
        print(f"{count:6,} {name}")  # noqa: T201


if __name__ == "__main__":
    main()
