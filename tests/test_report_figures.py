"""The paper's figures and Table 14: complete, in order, with what was seen; and their files; and report.md."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from full_run import SIZES, write_full_run
from report_synthetic_run import write_stage, write_synthetic_run
from tutelage.report.assessment import Evidence
from tutelage.report.content import Content
from tutelage.report.curves import curve_groups
from tutelage.report.figure_files import figure_files
from tutelage.report.figures.exhibit import Exhibit
from tutelage.report.markdown import render_markdown
from tutelage.report.raw_rows import RawRows
from tutelage.report.run_folder import read_run
from tutelage.reproduction.figures import paper_figures
from tutelage.reproduction.paper_report import draw_paper

ORDER = [
    "fig-01-win-rate",
    "fig-03-distributions",
    "fig-04-metadata",
    "fig-05-likert",
    "fig-06-truthfulness",
    "fig-07-toxicity",
    "table-14-bias",
    "fig-29-skills-few-shot",
    "fig-28-skills-zero-shot",
    "reward-model-cross-validation",
    "fig-33-ptx-sweep",
    "fig-34-kl-sweep",
    "sft-epochs",
    "overoptimisation",
    "fig-08-generalisation",
]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return write_full_run(tmp_path_factory.mktemp("runs") / "full", num_prompts=40, stages=False)


@pytest.fixture(scope="module")
def content(path) -> Content:
    return draw_paper(read_run(path))


@pytest.fixture(scope="module")
def figures(content) -> dict[str, Exhibit]:
    return {figure.name: figure for figure in content.figures}


def rows_of(path: Path, **wanted: object) -> list[dict]:
    rows = [json.loads(line) for line in (path / "evaluation/measurements.jsonl").read_text().splitlines()]
    return [
        row for row in rows if all(row.get(key, row["condition"].get(key)) == value for key, value in wanted.items())
    ]


def test_the_figures_stand_in_order_each_with_what_was_seen(figures):
    assert list(figures) == ORDER
    for figure in figures.values():
        assert figure.saw[0].isupper() and figure.saw.endswith(".")
        assert re.search(r"\d", figure.saw) or figure.name in ("overoptimisation", "sft-epochs")
        assert str(figure.here).endswith(".")
        assert "data-source=" in figure.here, figure.name
        assert figure.panels and figure.table is not None


def test_what_this_run_saw_is_its_own_number(path, figures):
    stated = {"baseline": "sft", "baseline_size": "large", "labelers": "heldout", "distribution": "instruct"}
    (row,) = rows_of(path, measure="win_rate", arm="ppo_ptx", size="large", **stated)
    here = figures["fig-01-win-rate"].here
    assert f'PPO-ptx <data value="{row["mean"]!r}"' in here
    assert "PPO-ptx minus Base: " in here


def test_every_size_and_condition_has_a_row_in_the_figures_table(figures):
    table = figures["fig-03-distributions"].table
    assert len(table.rows) == 4 * len(SIZES)
    assert table.columns[1:] == ("Base", "Base (prompted)", "SFT", "PPO", "PPO-ptx")
    assert len(figures["fig-05-likert"].table.rows) == 1
    assert len(figures["fig-05-likert"].table.columns) == 10


def test_ratings_are_shown_at_the_size_at_which_flan_and_t0_stand(path, tmp_path):
    run = shutil.copytree(path, tmp_path / "run")
    table = run / "evaluation/measurements.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    further = {"flan", "t0", "dpo", "best_of_n"}
    moved = [{**row, "size": "medium"} if row["arm"] in further else row for row in rows]
    table.write_text("".join(json.dumps(row) + "\n" for row in moved))
    found = {figure.name: figure for figure in draw_paper(read_run(run)).figures}["fig-05-likert"]
    (wanted,) = [
        row["mean"]
        for row in rows_of(
            run, measure="likert", arm="base", size="medium", labelers="heldout", distribution="instruct"
        )
    ]
    assert len(found.table.rows) == 1 and {"FLAN", "T0"} <= set(found.table.columns)
    assert f'Base <data value="{wanted!r}"' in found.here


def test_table_14_has_policies_over_sizes_and_data_sets_over_prompts(path, content):
    table = content.table_14
    assert table.groups == tuple((label, SIZES) for label in ("Base", "SFT", "PPO", "PPO-ptx"))
    blocks = dict(table.blocks)
    assert list(blocks)[:3] == ["Winogender, entropy", "CrowS-Pairs, entropy", "Toxicity"]
    assert "Reading, F1" in blocks
    name, cells = blocks["Toxicity"][1]
    (row,) = rows_of(path, measure="toxicity", arm="ppo_ptx", size="large", prompt="respectful")
    assert name == "respectful"
    assert f'value="{row["mean"]!r}"' in cells[-1]
    assert ">" + f"{row['mean']:.3f}".removeprefix("0") + "<" in cells[-1]


def test_a_quick_run_draws_what_it_has(tmp_path):
    run = read_run(write_synthetic_run(tmp_path / "quick", num_prompts=12, stages=()))
    drawn = list(paper_figures(Evidence(measured=run.measured, raw=RawRows(run.path))))
    assert [figure.name for figure in drawn] == ORDER[:4]
    assert not drawn[0].arms


def test_a_figure_has_files_of_its_own(figures):
    shown = [figures[name] for name in ("fig-04-metadata", "overoptimisation")]
    files = dict(figure_files(shown))
    assert sorted(files) == sorted(f"{figure.name}.{kind}" for figure in shown for kind in ("svg", "png"))
    for name, drawn in files.items():
        if name.endswith("png"):
            assert drawn.startswith(b"\x89PNG")
            continue
        assert b"var(--" not in drawn
        root = ElementTree.fromstring(drawn)
        panels = [child for child in root if child.tag.endswith("svg")]
        assert len(panels) == len(next(figure for figure in shown if name.startswith(figure.name)).panels)
        assert ("PPO-ptx" in drawn.decode()) == (name == "fig-04-metadata.svg")


def test_report_md_has_the_result_the_claims_and_links_to_the_figures(path, content):
    text = render_markdown(read_run(path), content)
    for name in ORDER:
        assert f"](figures/{name}.png)" in text
    claims = text[text.index("## The paper’s claims") : text.index("## Figures")]
    assert claims.count("\n| ") == 2 + len(content.claims)
    assert all(line.count(" | ") == 4 for line in claims.splitlines() if line.startswith("| "))
    assert "<data" not in text and "<span" not in text


def test_names_of_the_run_are_data_in_report_md(tmp_path):
    run = write_synthetic_run(tmp_path / "a_b*c<script>", num_prompts=4, stages=())
    hostile = {"measure": "likert", "arm": "x|y](http://z)<b>", "mean": 4.0, "n": 9, "source": "evaluation/x.jsonl"}
    with (run / "evaluation/measurements.jsonl").open("a") as handle:
        handle.write(json.dumps(hostile) + "\n")
    text = render_markdown(read_run(run), draw_paper(read_run(run)))
    assert "# a\\_b\\*c\\<script\\>" in text
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "x\\|y" in text


def test_stages_lie_one_level_deeper_in_a_run_of_several_sizes(tmp_path):
    run = write_full_run(tmp_path / "full", num_prompts=8, stages=False)
    for folder in ("small/sft", "large/sft", "large/ppo", "large/ppo_ptx", "sweeps/kl/ppo"):
        write_stage(run / folder, Path(folder).name, np.random.default_rng(0))
    found = read_run(run)
    assert [stage.folder for stage in found.stages] == ["large/sft", "small/sft", "large/ppo", "large/ppo_ptx"]
    groups = curve_groups(found)
    assert list(groups) == [("large", "sft"), ("large", "ppo"), ("small", "sft")]
    assert len(groups["large", "ppo"]) == 2
    assert found.sizes == SIZES and found.largest == "large"
    assert {row.size for row in found.result_comparisons} == {"large"}
    assert {(row.baseline, row.baseline_size) for row in found.result_comparisons} == {("sft", "large")}
    assert {row.distribution for row in found.result_completions} == {"instruct"}
