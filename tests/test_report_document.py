"""The report: complete, self-contained, traceable to files, safe with hostile text, patient with what is missing."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from report_synthetic_run import ARMS, USE_CASES, write_stage, write_synthetic_run
from tutelage.errors import DataError, RecordError, StorageError, UserError
from tutelage.report import document, terminal_table
from tutelage.report.notation import percent
from tutelage.reproduction.paper_report import write_paper_report

VOID = {"meta", "input", "link", "img", "br", "hr", "path", "use"}


class Page(HTMLParser):
    """What the tests ask of a page: its elements with attributes, its traced numbers, its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[float, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "data":
            self.words.append("\x00")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()
        if tag == "data":
            start = len(self.words) - 1 - self.words[::-1].index("\x00")
            shown = "".join(self.words[start + 1 :])
            attributes = [found for name, found in self.elements if name == "data"][len(self.numbers)]
            self.numbers.append((float(attributes["value"]), attributes["data-source"], shown))

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).replace("\x00", "").split())


@pytest.fixture(autouse=True, scope="module")
def without_figure_files():
    """The figures' own files are tested by themselves: drawing them each time would take most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "figure_files", lambda _: iter(()))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_synthetic_run(tmp_path_factory.mktemp("runs") / "quickstart", num_prompts=64)


@pytest.fixture(scope="module")
def lean(tmp_path_factory) -> Path:
    """A run with fewer figures, quick to report."""
    folder = tmp_path_factory.mktemp("runs") / "lean"
    return write_synthetic_run(folder, num_prompts=12, stages=("reward",))


@pytest.fixture(scope="module")
def html(run) -> str:
    return write_paper_report(run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def resolve(run: Path, source: str) -> float:
    """The number at `file#/json/pointer`; a file of JSON lines is an array of them."""
    file, pointer = source.split("#")
    text = (run / file).read_text()
    value = [json.loads(line) for line in text.splitlines()] if file.endswith("l") else json.loads(text)
    for key in pointer.strip("/").split("/"):
        key = key.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


SHARES = ("win_rate", "flag", "reward_model_accuracy", "labeler_agreement")


def measure_at(run: Path, source: str) -> str:
    """What was measured where `source` points."""
    file, pointer = source.split("#")
    if not file.endswith("measurements.jsonl"):
        return ""
    measure: str = json.loads((run / file).read_text().splitlines()[int(pointer.split("/")[1])])["measure"]
    return measure


def shown_number(shown: str) -> float:
    """What a reader takes from the text of a number: 61.3 % is 0.613, a true minus is a minus."""
    digits = re.match(r"[+\u2212]?[\d,]*\.?\d+", shown)
    assert digits, shown
    return float(digits[0].replace("\u2212", "-").replace(",", ""))


def rewrite(path: Path, change) -> None:
    summary = json.loads(path.read_text())
    change(summary)
    path.write_text(json.dumps(summary))


def rewrite_lines(path: Path, change) -> None:
    rows = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_every_traced_number_is_the_one_in_its_file_and_is_written_as_it_is(run, page):
    pointed = [number for number in page.numbers if "#" in number[1]]
    assert len(pointed) > 60
    for value, source, shown in pointed:
        assert value == pytest.approx(resolve(run, source), rel=1e-12), source
        if " min" in shown or "\u202fmin" in shown:
            continue
        scale = 100 if measure_at(run, source) in SHARES else 1
        if source.endswith("/n"):
            scale = 1
        decimals = len(shown.split(".")[1].split("\u202f")[0]) if "." in shown else 0
        assert shown_number(shown) == pytest.approx(scale * value, abs=0.5001 * 10**-decimals), (source, shown)


def test_computed_numbers_name_the_file_that_they_were_computed_from(run, page):
    computed = {source for _, source, _ in page.numbers if "#" not in source}
    # Differences, paired on the rows or from the intervals; and win rates by use case.
    assert computed == {
        "evaluation/comparisons.jsonl",
        "evaluation/ratings.jsonl",
        "evaluation/measurements.jsonl",
    }
    rows = [json.loads(line) for line in (run / "evaluation/comparisons.jsonl").read_text().splitlines()]
    chat = [row["outcome"] for row in rows if row["use_case"] == "chat" and row["arm"] == "ppo_ptx"]
    values = [value for value, source, _ in page.numbers if source == "evaluation/comparisons.jsonl"]
    assert any(value == pytest.approx(sum(chat) / len(chat), rel=1e-12) for value in values)


def test_changing_a_number_in_the_file_changes_the_page(lean, tmp_path):
    changed = shutil.copytree(lean, tmp_path / "changed")
    entry = {"mean": 0.123456, "low": 0.1, "high": 0.149, "n": 31415}
    rewrite_lines(
        changed / "evaluation/measurements.jsonl",
        lambda row: row | (entry if (row["measure"], row["arm"]) == ("win_rate", "ppo_ptx") else {}),
    )
    text = Page(write_paper_report(changed).read_text()).text
    assert "are judged worse than those of the SFT policy: 12.3\u202f%" in text.replace(" %", "\u202f%")
    assert "31,415" in text


@pytest.mark.parametrize(
    ("low", "high", "words", "verdict"),
    [
        (0.51, 0.6, "are preferred to", "reproduced"),
        (0.4, 0.49, "are judged worse than", "not reproduced"),
        (0.45, 0.56, "are not distinguishable from", "too noisy to say"),
    ],
)
def test_the_finding_and_the_verdict_follow_the_interval(tmp_path, low, high, words, verdict):
    (tmp_path / "evaluation").mkdir()
    measured = {"measure": "win_rate", "arm": "ppo_ptx", "baseline": "sft", "source": "evaluation/comparisons.jsonl"}
    measured |= {"mean": (low + high) / 2, "low": low, "high": high, "n": 100}
    # A contest with somebody else stands before it and is not what the finding is about.
    contest = measured | {"baseline": "base", "mean": 0.99, "low": 0.98, "high": 1.0}
    (tmp_path / "evaluation/measurements.jsonl").write_text(f"{json.dumps(contest)}\n{json.dumps(measured)}\n")
    text = Page(write_paper_report(tmp_path).read_text()).text
    assert f"Responses of the PPO-ptx policy {words} those of the SFT policy" in text
    claim = text[text.index("PPO-ptx is preferred to SFT") :]
    assert re.search(r"(not reproduced|too noisy to say|reproduced)", claim)[1] == verdict


def test_the_page_asks_nobody_for_anything(html, page):
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "image"), tag
        for name in ("src", "href", "xlink:href", "action", "srcset", "data", "poster"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert not re.search(r"@import|url\((?!#)|https?://", html)


def test_the_page_lets_only_its_own_script_run(html, page):
    policy = next(found["content"] for tag, found in page.elements if tag == "meta" and "http-equiv" in found)
    assert policy.startswith("default-src 'none'")
    script = re.search(r"<script>(.*)</script>", html, re.DOTALL)[1]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_ids_are_unique_and_every_reference_within_the_page_is_met(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = {found["href"][1:] for _, found in page.elements if (found.get("href") or "").startswith("#")}
    clips = {clip for _, found in page.elements for clip in re.findall(r"url\(#([^)]+)\)", str(found))}
    assert clips
    assert (references | clips) <= set(ids)


def test_figures_take_their_colours_from_the_page(html):
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) >= 20
    variables = set(re.findall(r"--([\w-]+):", html))
    for drawing in drawings:
        assert not re.search(r"#[0-9a-f]{6}\b", drawing)
        assert set(re.findall(r"var\(--([\w-]+)\)", drawing)) <= variables
        assert 'role="img" aria-label="' in drawing


def test_completions_stand_side_by_side_with_what_was_judged(run, page, html):
    prompts = [found for tag, found in page.elements if tag == "article" and found.get("class") == "prompt"]
    assert len(prompts) == 48
    assert {found["data-use-case"] for found in prompts} == set(USE_CASES)
    assert html.count('<section class="completion ') == 48 * len(ARMS)
    rows = [json.loads(line) for line in (run / "evaluation/comparisons.jsonl").read_text().splitlines()]
    outcomes = [row["outcome"] for row in rows if row["completion_id"] == "p0000-base"]
    first = html[html.index('<article class="prompt"') :]
    won, tied, lost = (outcomes.count(outcome) for outcome in (1.0, 0.5, 0.0))
    assert re.search(r"won \d · tied \d · lost \d", first)[0] == f"won {won} · tied {tied} · lost {lost}"


ATTACKS = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "$\\frac{$ <b>")


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_of_prompts_models_and_names_is_data(tmp_path, attack):
    hostile = write_synthetic_run(tmp_path / "hostile", num_prompts=3, stages=("reward",))
    poisoned = (("completions", ("prompt", "text", "use_case")), ("comparisons", ("labeler_group", "use_case")))
    for file, keys in poisoned:
        path = hostile / f"evaluation/{file}.jsonl"
        rows = [json.loads(line) | dict.fromkeys(keys, attack) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rewrite(hostile / "summary.json", lambda summary: _poison(summary, attack))
    with (hostile / "evaluation/measurements.jsonl").open("a") as handle:
        for row in _poisoned_measurements(attack):
            handle.write(json.dumps(row) + "\n")
    metrics = hostile / "reward/metrics.jsonl"
    metrics.write_text("".join(json.dumps({"step": step, f"sft/{attack}": step}) + "\n" for step in range(3)))
    (hostile / "reward/config.yaml").write_text(json.dumps({attack: attack}))
    text = write_paper_report(hostile).read_text()
    page = Page(text)
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 1
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert attack in "".join(page.words)
    assert "49" not in re.findall(r'<div class="text asked" dir="auto">(.*?)</div>', text)


def _poison(summary: dict, attack: str) -> None:
    summary["versions"]["python"] = attack
    summary["wall_seconds"][attack] = 2.0


def _poisoned_measurements(attack: str) -> list[dict]:
    judged = {"labelers": "heldout", "distribution": "instruct"}
    about = {"arm": attack, "mean": 0.5, "low": 0.4, "high": 0.6, "n": 9, "source": attack}
    return [
        about | {"measure": "win_rate", "condition": judged, "baseline": "sft"},
        about | {"measure": "likert", "condition": judged, "mean": 4.0, "high": 4.6},
        about | {"measure": "flag", "condition": judged | {"flag": attack}},
        about | {"measure": "flag", "condition": judged | {"flag": "hallucination"}},
        about | {"measure": "skill", "condition": {"skill": attack, "metric": attack, "shots": "few"}},
    ]


def test_simulated_labelers_are_named_as_such_and_only_then(lean, page, tmp_path):
    assert "The labelers of this run are simulated." in page.text
    real = shutil.copytree(lean, tmp_path / "real")
    rewrite(real / "summary.json", lambda summary: summary.update(simulated_labelers=False))
    assert "simulated" not in Page(write_paper_report(real).read_text()).text


@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward", "ppo"])
def test_a_single_stage_has_a_report_of_its_own(tmp_path, stage):
    write_stage(tmp_path / "alone", stage, np.random.default_rng(0))
    page = Page(write_paper_report(tmp_path / "alone").read_text())
    assert "by step" in page.text
    assert "is not finished" not in page.text
    assert "Samples" in page.text
    for value, source, _ in page.numbers:
        assert value == pytest.approx(resolve(tmp_path / "alone", source))


def test_an_unfinished_run_says_so_and_shows_what_there_is(lean, tmp_path):
    half = shutil.copytree(lean, tmp_path / "half")
    (half / "summary.json").unlink()
    (half / "evaluation/measurements.jsonl").unlink()
    (half / "reward/summary.json").unlink()
    metrics = half / "reward/metrics.jsonl"
    metrics.write_text(metrics.read_text()[:1000])
    page = Page(write_paper_report(half).read_text())
    assert "This run is not finished." in page.text
    assert "Unfinished stages: reward." in page.text
    # The win rates are computed from the comparisons where the run has not measured them.
    assert "preferred to those of the SFT policy" in page.text


@pytest.mark.parametrize(
    "missing",
    [
        "evaluation",
        "evaluation/ratings.jsonl",
        "evaluation/comparisons.jsonl",
        "evaluation/completions.jsonl",
        "evaluation/measurements.jsonl",
        "reward",
        "reward/config.yaml",
        "reward/samples.jsonl",
        "reward/metrics.jsonl",
        "summary.json",
    ],
)
def test_any_part_may_be_missing(lean, tmp_path, missing):
    poorer = shutil.copytree(lean, tmp_path / "poorer")
    path = poorer / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = Page(write_paper_report(poorer).read_text())
    assert page.text.startswith("poorer – Tutelage report")
    assert not page.open
    Console(file=io.StringIO()).print(terminal_table(poorer))


@pytest.mark.parametrize(
    "key",
    ["sizes", "wall_seconds", "versions", "seed", "peak_memory_gib", "seconds"],
)  # fmt: skip
def test_any_part_of_the_summary_may_be_malformed(tmp_path, key):
    for value in (None, "absent", [1], {"base": None}, {"base": {"mean": None}}, {}):
        (tmp_path / "summary.json").write_text(json.dumps({"seed": 1} | {key: value}))
        page = Page(write_paper_report(tmp_path).read_text())
        assert not page.open
        assert "Method" in page.text


def test_numbers_that_are_not_finite_are_left_out(tmp_path):
    rows = [{"step": step, "ppo/score": value, "ppo/entropy": None} for step, value in enumerate([1.0, None, 2.0])]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 3, "ppo/sc')
    (tmp_path / "summary.json").write_text('{"ppo_score": NaN, "steps": 3}')
    text = Page(write_paper_report(tmp_path).read_text()).text
    assert "The score went from 1 to 2 by step 2." in text
    assert "nan" not in text.lower()


def test_broken_judgements_are_left_out_and_named(lean, tmp_path):
    broken = shutil.copytree(lean, tmp_path / "broken")
    with (broken / "evaluation/comparisons.jsonl").open("a") as handle:
        handle.write('{"prompt_id": "p0", "arm": "ppo", "baseline": "sft", "completion_id": "x", "outcome": 0.7}\n')
        handle.write('{"prompt_id": "p')
    text = Page(write_paper_report(broken).read_text()).text
    assert "it must be 1 (won), 0.5 (tied) or 0 (lost)" in text
    assert text.count("Skipped a record") == 2


@pytest.mark.parametrize("make", ["nothing", "empty", "file", "other"])
def test_what_is_no_run_folder_is_refused(tmp_path, make):
    path = tmp_path / "here"
    if make == "file":
        path.write_text("x")
    elif make != "nothing":
        path.mkdir()
    if make == "other":
        (path / "notes.txt").write_text("x")
        (path / "photos").mkdir()
    with pytest.raises(UserError, match=r"is not a (run )?folder.*Give the folder of a run"):
        write_paper_report(path)
    assert not (path / "report.html").exists()


def test_broken_files_are_named(tmp_path):
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(DataError, match=r"summary.json is not JSON"):
        write_paper_report(tmp_path)
    (tmp_path / "summary.json").write_text("[]")
    with pytest.raises(DataError, match=r"is a list; it must be one JSON object"):
        write_paper_report(tmp_path)
    (tmp_path / "summary.json").unlink()
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "sft/loss"\n{"step": 2, "sft/loss": 1}\n')
    with pytest.raises(RecordError, match="line 1"):
        write_paper_report(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "sft/loss": 1}\n')
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(DataError, match=r"config.yaml is not YAML"):
        write_paper_report(tmp_path)


def test_the_same_files_give_the_same_bytes(lean, tmp_path):
    again = shutil.copytree(lean, tmp_path / "again" / lean.name, ignore=shutil.ignore_patterns("report.html"))
    assert write_paper_report(again).read_bytes() == write_paper_report(lean).read_bytes()


def test_the_terminal_shows_the_result_table(run):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(terminal_table(run))
    shown = console.export_text()
    summary = json.loads((run / "summary.json").read_text())
    for arm, label in (("base", "Base "), ("ppo_ptx", "PPO-ptx")):
        rate = summary["win_rate_vs_sft"][arm]
        line = next(line for line in shown.splitlines() if line.strip().startswith(label))
        assert f"{percent(rate['mean'])} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]" in line
        assert f"{summary['likert'][arm]:.2f}" in line
    assert "The labelers are simulated" in shown


@pytest.mark.parametrize("name", ["report.html", "report.md", "figures/mine.svg"])
def test_what_no_report_wrote_is_not_replaced_unasked(lean, tmp_path, name):
    copy = tmp_path / "run"
    shutil.copytree(lean, copy)
    for own in ("report.html", "report.md"):
        (copy / own).unlink(missing_ok=True)
    shutil.rmtree(copy / "figures", ignore_errors=True)
    theirs = copy / name
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("mine")
    with pytest.raises(StorageError, match=name.partition("/")[0]):
        write_paper_report(copy)
    assert theirs.read_text() == "mine"
    assert [path.name for path in (copy / "report.html", copy / "report.md") if path.exists()] == [
        path for path in (name,) if "/" not in path
    ]
    write_paper_report(copy, overwrite=True)
    # Its own files are replaced without asking.
    write_paper_report(copy)
