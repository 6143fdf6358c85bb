"""Time and memory of `tutelage prompts build` as the number of prompts grows: one core, synthetic prompts.

python benchmarks/prompts_scale.py --prompts 100000 1000000 --out build/prompts_scale.json
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# Frequent English words, so that language identification and the regular expressions do the work they do on real text.
WORDS = re.findall(
    r"\w+",
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they "
    "which one you were all her she there would their we him been has when who will no more if out so up said "
    "what its about than into them can only other time new some could these two may first then do any like my now "
    "over such our man me even most made after write explain summarize following story article question answer "
    "list between people world water country school system number year state company important example children "
    "history language computer program ",
)
PRIVATE = (
    "Write to user{n}@example.com please.",
    "Call me at +1 415 555 {m:04d} tomorrow.",
    "I live at {m} Maple Street, Springfield.",
)


def synthetic_prompts(number: int, seed: int) -> Iterator[dict[str, object]]:
    """Prompts with lengths as in Table 9 (median 60 words): 8 % exact repeats, 8 % shared prefixes, 2 % private."""
    draw = random.Random(seed)
    recent: list[str] = []
    for n in range(number):
        kind = draw.random()
        if recent and kind < 0.08:
            text = draw.choice(recent)
        elif recent and kind < 0.16:
            text = draw.choice(recent) + " " + " ".join(draw.choices(WORDS, k=10))
        else:
            text = " ".join(draw.choices(WORDS, k=min(1500, 3 + int(draw.lognormvariate(4.1, 1.2)))))
        if draw.random() < 0.02:
            text += " " + draw.choice(PRIVATE).format(n=n, m=n % 10_000)
        if len(recent) < 2_000:
            recent.append(text)
        else:
            recent[draw.randrange(2_000)] = text
        # A few users send thousands of prompts, most send a handful.
        user = int(draw.random() ** 3 * (number // 6 + 1))
        source = "labeler-plain" if draw.random() < 0.15 else "api"
        yield {"text": text, "user_id": f"{source[:3]}-{user}", "source": source, "use_case": "Generation"}


def build_in_this_process(source: Path, out: Path) -> None:
    """Build once and print the measurements as JSON; run in its own process, for its own peak memory."""
    from tutelage.curation.build import build_prompts
    from tutelage.prompts.config import PromptsConfig

    start, cpu = time.perf_counter(), time.process_time()
    manifest = build_prompts([source], out, PromptsConfig())
    print(
        json.dumps(
            {
                "prompts": manifest.num_read,
                "kept": manifest.num_kept,
                "rejected": manifest.rejected,
                "source_mb": source.stat().st_size / 1e6,
                "seconds": time.perf_counter() - start,
                "cpu_seconds": time.process_time() - cpu,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def measure(number: int, folder: Path, seed: int) -> dict[str, object]:
    """Write `number` synthetic prompts and build them in a fresh process."""
    source = folder / f"{number}.jsonl"
    with source.open("w", encoding="utf-8") as handle:
        handle.writelines(json.dumps(prompt) + "\n" for prompt in synthetic_prompts(number, seed))
    arguments = [sys.executable, __file__, "--build", str(source), "--folder", str(folder)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--prompts", type=int, nargs="+", default=[100_000, 1_000_000], help="numbers of prompts to build"
    )
    parser.add_argument("--out", type=Path, help="write the measurements here as JSON")
    parser.add_argument("--folder", type=Path, help="where working files go (default: the system's temporary folder)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        build_in_this_process(arguments.build, arguments.folder / f"{arguments.build.stem}.out")
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measured = [measure(number, Path(folder), arguments.seed) for number in arguments.prompts]
    for row in measured:
        rate = row["prompts"] / row["seconds"]
        print(
            f"{row['prompts']:>9,} prompts, {row['source_mb']:,.0f} MB: {row['seconds']:.1f} s, {rate:,.0f}/s, ",
            end="",
        )
        print(
            f"{row['cpu_seconds']:.1f} s of CPU, peak {row['peak_mb']:.0f} MB, kept {row['kept']:,}, {row['rejected']}"
        )
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
