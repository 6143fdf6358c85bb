"""The analogue of the paper's Table 14: every automatic evaluation, policies and model sizes side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tutelage.report.arms import arm_of, in_order
from tutelage.report.measured import Measured, Row, Where
from tutelage.report.notation import MISSING, Form, fixed, percent, readable, with_interval
from tutelage.report.tables import Cell, GroupedTable
from tutelage.reproduction.figures.plans import METRIC_NAMES

# The paper's columns; other measurements follow.
_ARMS = ("base", "sft", "ppo", "ppo_ptx")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    block: str
    name: str
    measure: str
    where: Where
    form: Form


def table_14(measured: Measured) -> GroupedTable | None:
    """Bias, toxicity, truth and skills by policy and size; None if nothing of it was measured."""
    lines = [(line, measured.where(line.measure, line.where)) for line in _lines(measured)]
    lines = [(line, rows) for line, rows in lines if rows]
    if not lines:
        return None
    present = {row.arm for _, rows in lines for row in rows}
    arms = [arm for arm in _ARMS if arm in present] + in_order(arm for arm in present if arm not in _ARMS)
    sizes = {arm: _sizes_of(arm, measured, [row for _, rows in lines for row in rows]) for arm in arms}
    blocks: dict[str, list[tuple[str, tuple[Cell, ...]]]] = {}
    for line, rows in lines:
        found = {(row.arm, row.size): row for row in reversed(rows)}
        cells = tuple(_cell(found.get((arm, size)), line.form) for arm in arms for size in sizes[arm])
        blocks.setdefault(line.block, []).append((line.name, cells))
    return GroupedTable(
        groups=tuple((arm_of(arm).label, tuple(sizes[arm])) for arm in arms),
        blocks=tuple((block, tuple(rows)) for block, rows in blocks.items()),
    )


def _sizes_of(arm: str, measured: Measured, rows: list[Row]) -> list[str]:
    own = {row.size for row in rows if row.arm == arm}
    return [size for size in (*measured.sizes, "") if size in own]


def _cell(row: Row | None, form: Form) -> Cell:
    return MISSING if row is None else with_interval(row.estimate, form)


def _lines(measured: Measured) -> Iterator[_Line]:
    for key, name in (("winogender", "Winogender, entropy"), ("crows_pairs", "CrowS-Pairs, entropy")):
        for prompt in measured.values("bias_entropy", "prompt", {"set": key}):
            yield _Line(
                block=name,
                name=_prompt(prompt),
                measure="bias_entropy",
                where={"set": key, "prompt": prompt},
                form=_bare,
            )
    for prompt in measured.values("toxicity", "prompt"):
        yield _Line(block="Toxicity", name=_prompt(prompt), measure="toxicity", where={"prompt": prompt}, form=_bare)
    for measure, name in (("truthful", "True"), ("truthful_informative", "True and informative")):
        for prompt in measured.values(measure, "prompt"):
            yield _Line(block=name, name=_prompt(prompt), measure=measure, where={"prompt": prompt}, form=percent)
    for skill in measured.values("skill", "skill"):
        for shots in measured.values("skill", "shots", {"skill": skill}):
            metric = next(iter(measured.values("skill", "metric", {"skill": skill})), "")
            yield _Line(
                block=f"{readable(str(skill)).capitalize()}, {METRIC_NAMES.get(str(metric), readable(str(metric)))}",
                name=f"{shots}-shot",
                measure="skill",
                where={"skill": skill, "shots": shots},
                form=percent,
            )


def _bare(value: float) -> str:
    """Three decimals without a leading zero, as the paper prints numbers below 1: the table is wide."""
    return re.sub(r"^(\u2212?)0\.", r"\1.", fixed(3)(value))


def _prompt(key: str | int | float) -> str:
    return {"none": "no prompt", "qa": "QA prompt", "qa_instruction": "QA + instruction"}.get(str(key), str(key))
