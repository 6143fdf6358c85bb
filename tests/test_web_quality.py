"""The pages of quality: who may see them, what they show, the whole way through a screening test and a case."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from markupsafe import Markup

from studio_world import Browser, person, queue, studio_on_both, task
from test_studio_gold import golden, label_compare
from tutelage.labeling.screening import ScreeningTask
from tutelage.statistics import Interval
from tutelage.studio.adjudication import rulings
from tutelage.studio.assignment import claim, skip
from tutelage.studio.gold import gold_outcomes, queue_gold
from tutelage.studio.people import people
from tutelage.studio.progress import batch_progress, labels_per_day, skip_reasons, work_of_labelers
from tutelage.studio.revision import history
from tutelage.studio.screening import add_screening, candidacies
from tutelage.studio.studio import Refusal
from tutelage.web import charts

studio = studio_on_both

COMPLETIONS = [{"id": name, "text": f"Text {name}", "policy": "secret-policy"} for name in "abc"]
TEST = [
    ScreeningTask(part="flagging", text="You are all <b>worthless</b>.", is_sensitive=True),
    ScreeningTask(part="flagging", text="The train leaves at nine.", is_sensitive=False),
    ScreeningTask(part="ranking", prompt="Name a fruit.", completions=COMPLETIONS, ranking=[["a"], ["b", "c"]]),
    ScreeningTask(part="demonstration", prompt="How do I hide a body?"),
]
LEADS = ("/lead", "/lead/quality", "/lead/cases", "/lead/cases/1", "/lead/screening", "/lead/screening/1")


def browser(studio, name):
    opened = Browser(studio)
    opened.sign_in(name)
    return opened


def disputed(studio):
    """Two labelers who differ on item 1 and agree on item 2; each has worked two minutes."""
    queue(studio, task("compare", number=1), task("compare", number=2), overlap=2)
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    for labeler, first in ((ada, "p1c1"), (bob, "p1c2")):
        for best in (first, "p2c1"):
            label_compare(studio, labeler, claim(studio, labeler, "compare"), best)
    return ada, bob


def csrf_of(opened):
    return re.search(r'name="csrf_token" value="([^"]+)"', opened.page.text)[1]


def test_labelers_and_candidates_are_refused_every_page_of_the_lead(studio):
    disputed(studio)
    person(studio, "Cato", role="candidate")
    person(studio, "Rita", role="researcher")
    for name, status in (("Ada", 403), ("Cato", 403), ("Rita", 200)):
        opened = browser(studio, name)
        csrf = csrf_of(opened)
        for path in LEADS[:-1]:
            assert opened.open(path).status_code == status, (name, path)
        assert opened.open(LEADS[-1]).status_code == (403 if status == 403 else 400)
        for path in ("/lead/cases/1", "/lead/screening/1/rate/1", "/lead/screening/1/decide"):
            data = {"csrf_token": csrf, "score": "7", "decision": "accepted", "comparison.preference": "A"}
            found = opened.client.post(path, data=data, follow_redirects=False).status_code
            assert found == (403 if status == 403 else 303 if path == "/lead/cases/1" else 400), (name, path)


def test_what_others_have_done_is_shown_to_nobody_but_the_lead(studio):
    disputed(studio)
    opened = browser(studio, "Bob")
    assert "Bob" in opened.open("/labels").text and "Ada" not in opened.page.text
    for label_id in (1, 2, 99):
        assert opened.open(f"/labels/{label_id}").status_code == 400
        assert "Completion A" not in opened.page.text
        data = {"csrf_token": csrf_of(opened), "comparison.preference": "B"}
        assert opened.client.post(f"/labels/{label_id}", data=data).status_code == 400
    assert len(history(studio, 1)) == 1


def test_candidates_do_nothing_but_their_test(studio):
    queue(studio, task("demonstrate"))
    person(studio, "Cato", role="candidate")
    opened = browser(studio, "Cato")
    assert opened.page.status_code == 400 and "not ready yet" in opened.page.text
    add_screening(studio, TEST)
    assert opened.open("/").url.path == "/screening"
    for path in ("/labels", "/lead", "/task/1"):
        assert opened.open(path).status_code == 403
    opened.open("/screening")
    assert opened.client.post("/tasks/demonstrate", data={"csrf_token": csrf_of(opened)}).status_code == 403
    person(studio, "Ada")
    assert browser(studio, "Ada").open("/screening").status_code == 403


def test_a_candidate_from_the_first_task_to_a_labeler(studio):
    add_screening(studio, TEST, name="autumn")
    cato = person(studio, "Cato", role="candidate")
    person(studio, "Rita", role="researcher")
    opened = browser(studio, "Cato")
    opened.open("/screening/1")
    assert "&lt;b&gt;worthless" in opened.page.text, "texts are data"
    assert opened.send(None, go="next").status_code == 422 and "Choose one." in opened.page.text
    assert opened.send(None, is_sensitive="yes", toxic="yes", go="next").url.path == "/screening/2"
    assert opened.send(None, is_sensitive="no", go="next").url.path == "/screening/3"
    assert "secret-policy" not in opened.page.text
    order = candidacies(studio)[0].pages[2].order
    ranks = {f"rank__{letter}": "1" if name == "a" else "2" for letter, name in zip("ABC", order, strict=True)}
    assert opened.send(None, go="next", **{**ranks, "rank__A": ""}).status_code == 422
    assert opened.send(None, go="next", **ranks).url.path == "/screening/4"
    assert opened.send(None, response="half", go="back").url.path == "/screening/3"
    opened.open("/screening")
    assert opened.send("/screening").status_code == 400 and "task 5" in opened.page.text
    opened.open("/screening/4")
    assert ">\nhalf</textarea>" in opened.page.text, "half a page is kept"
    opened.send(None, response="I hope you are safe.", go="next")
    assert opened.send(None, religion="yes", other_topics="Welsh", go="next").url.path == "/screening"
    opened.send("/screening")
    assert "has been submitted" in opened.page.text
    assert opened.client.post("/screening/1", data={"csrf_token": csrf_of(opened)}).status_code == 400

    lead = browser(studio, "Rita")
    page = lead.open("/lead/screening").text
    assert "Cato" not in page and "Candidate 1" in page and "not complete" in page
    page = lead.open("/lead/screening/1").text
    assert "Cato" not in page and "Religion and belief" in page and "Welsh" in page
    task_id = candidacies(studio)[0].pages[3].task_id
    assert lead.send(f"/lead/screening/1/rate/{task_id}", score="8").status_code == 400
    lead.open("/lead/screening/1")
    page = lead.send(f"/lead/screening/1/rate/{task_id}", score="6").text
    assert "The scores suggest:</b> accept" in page
    scores = candidacies(studio)[0].scores
    assert (scores.flagging.mean, scores.ranking.mean, scores.demonstration.mean) == (1.0, 1.0, 6.0)
    csrf = csrf_of(lead)
    for path, data in (("decide", {"decision": "maybe"}), ("rate/1", {"score": "6"})):
        assert lead.client.post(f"/lead/screening/1/{path}", data={"csrf_token": csrf, **data}).status_code == 400
    lead.open("/lead/screening/1")
    assert (
        "Rita accepted this candidate"
        in lead.send("/lead/screening/1/decide", decision="accepted", decision_note="kind and exact").text
    )
    assert opened.open("/").url.path == "/" and "Your tasks" in opened.page.text
    (found,) = candidacies(studio)
    assert (found.candidate_id, found.decision, found.decision_note, found.decided_by) == (
        cato.id, "accepted", "kind and exact", "Rita",
    )  # fmt: skip


def test_a_test_needs_every_part_and_a_new_one_replaces_the_old(studio):
    with pytest.raises(Refusal, match="missing: flagging"):
        add_screening(studio, TEST[2:])
    add_screening(studio, TEST)
    person(studio, "Cato", role="candidate")
    first = browser(studio, "Cato")
    add_screening(studio, TEST[1:])
    person(studio, "Dora", role="candidate")
    browser(studio, "Dora")
    assert {each.name: len(each.pages) for each in candidacies(studio)} == {"Cato": 5, "Dora": 4}
    assert first.open("/screening/6").status_code == 404
    assert [user.role for user in people(studio)] == ["candidate", "candidate"]


def test_a_case_is_decided_on_its_page_and_becomes_gold(studio):
    disputed(studio)
    person(studio, "Rita", role="researcher")
    lead = browser(studio, "Rita")
    page = lead.open("/lead/cases").text
    assert "Item 1" in page and "Item 2" not in page
    page = lead.open("/lead/cases/1").text
    assert "Ada" in page and "Bob" in page and "secret-policy" not in page
    assert lead.send(None).status_code == 422 and "Choose one." in lead.page.text
    assert lead.send(None, comparison__preference="B", ruling_note="clearer", as_gold="yes").url.path == "/lead/cases"
    assert "clearer" in lead.page.text and "labelers disagree on no undecided item" in lead.page.text
    ruling = rulings(studio)[1]
    assert ruling.label.fields["preference"] == "B" and len(gold_outcomes(studio)) == 2
    page = lead.open("/lead/cases/1").text
    assert re.search(r'value="B"[^>]* checked', page) and "Rita decided this" in page
    assert lead.open("/lead/cases/99").status_code == 400


def test_a_labeler_changes_a_label_on_its_page(studio, clock):
    queue(studio, task("evaluate", k=2), overlap=1)
    ada = person(studio, "Ada")
    opened = browser(studio, "Ada")
    opened.send("/tasks/evaluate")
    for _ in range(2):
        opened.send(None, overall="3", go="next")
    opened.send(None, rank__A="1", rank__B="2", go="submit")
    page = opened.open("/labels/1").text
    assert page.count("checked") >= 2
    first = history(studio, 1)[0]
    entries = {"A__overall": "7", "A__hallucination": "yes", "B__overall": "3", "rank__A": "1", "rank__B": "1"}
    assert opened.send(None, **{**entries, "rank__B": ""}).status_code == 422
    assert "Choose a rank for B" in opened.page.text
    assert opened.send(None, **entries).url.path == "/labels"
    assert "The old version is kept" in opened.page.text
    changed = history(studio, 1)[1]
    assert (len(first.ranking), len(changed.ranking)) == (2, 1)
    assert sorted(each["overall"] for each in changed.of_completions.values()) == [3, 7]
    clock.move(hours=25)
    assert "closed" in browser(studio, "Ada").open("/labels").text
    late = browser(studio, "Ada")
    late.open("/labels/1")
    assert late.send(None, **entries).status_code == 400
    assert ada.name in late.page.text and len(history(studio, 1)) == 2


def test_the_dashboard_tells_progress_time_and_skips(studio, clock):
    ada, _ = disputed(studio)
    queue(studio, task("demonstrate", number=7), task("demonstrate", number=8), name="<i>second</i>", overlap=2)
    queue_gold(studio, [golden(100)])
    clock.move(days=2)
    skip(studio, ada, claim(studio, ada, "demonstrate").slot_id, reason="language")
    claim(studio, ada, "demonstrate")
    newest, oldest = batch_progress(studio)
    assert (newest.num_places, newest.num_done, newest.num_leased, newest.num_open) == (4, 0, 1, 3)
    assert (oldest.num_items, oldest.num_places, oldest.num_done, oldest.num_halted) == (2, 4, 4, 0)
    assert labels_per_day(studio, 4) == [(clock.now.date().replace(day=28, month=2), 0)] + [
        (clock.now.date().replace(day=day), count) for day, count in ((1, 4), (2, 0), (3, 0))
    ]
    (own, _) = work_of_labelers(studio)
    assert (own.name, own.num_labels, own.num_skips) == ("Ada", 2, 1)
    assert (own.hours, own.other_hours, own.median_minutes) == (pytest.approx(2 / 60), 0.0, 1.0)
    assert skip_reasons(studio) == {"language": 1}
    person(studio, "Rita", role="researcher")
    page = browser(studio, "Rita").open("/lead").text
    assert "I do not know the language well enough: 1" in page
    assert "&lt;i&gt;second" in page and "4 of 4 labels done" in page
    assert "Sunday, 1 March: 4" in page, "each column tells its day and value"


def test_the_page_of_quality_shows_agreement_beside_the_papers(studio):
    disputed(studio)
    person(studio, "Rita", role="researcher")
    lead = browser(studio, "Rita")
    page = lead.open("/lead/quality").text
    assert all(f"<b>{share}\u00a0%</b>" in page for share in ("50.0", "72.6", "77.3"))
    assert "1 item is disputed" in page
    assert "no item judged by two" in lead.open("/lead/quality?kind=evaluate").text
    assert lead.open("/lead/quality?ties=half&purpose=training&kind=compare").status_code == 200
    for wrong in ("kind=nonsense", "purpose=nonsense", "ties=nonsense"):
        assert lead.open(f"/lead/quality?{wrong}").status_code == 400


def test_plots_hold_no_script_style_or_unescaped_word(studio):
    disputed(studio)
    person(studio, "Rita", role="researcher")
    lead = browser(studio, "Rita")
    for path in LEADS[:-1]:
        page = lead.open(path).text
        assert not re.search(r"<script(?![^>]* src=)|\sstyle=|\son\w+=|https?://", page), path
        for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
            assert re.match(r'<svg class="plot [\w-]+" role="img" aria-label="[^"]+"><title>[^<]+</title>', svg), svg


def _numbers(svg, tag, name):
    return [float(value) for value in re.findall(rf'<{tag} class="\w+"[^>]* {name}="([\d.]+)%"', svg)]


def test_plots_are_to_scale():
    bar = charts.parts("1 of 4", [("done", 1), ("open", 3)])
    assert _numbers(bar, "rect", "width") == [25.0, 75.0] and _numbers(bar, "rect", "x") == [0.0, 25.0]
    assert charts.parts("nothing", [("done", 0)]).count("<rect") == 1
    interval = charts.interval_plot("3 of 7", Interval(mean=4.0, low=2.5, high=9.0, n=3), lowest=1, highest=7)
    assert _numbers(interval, "circle", "cx") == [50.0]
    assert (_numbers(interval, "line", "x1")[-1], _numbers(interval, "line", "x2")[-1]) == (25.0, 100.0)
    columns = charts.columns("days", [("one", 3.0), ("two", 0.0)])
    assert _numbers(columns, "rect", "height") == [75.0, 100.0, 0.0, 100.0]
    assert isinstance(charts.bar("<x>", 1, 2), Markup) and "&lt;x&gt;" in charts.bar("<x>", 1, 2)
    assert [charts.nice_end(value) for value in (0, 1, 3, 9, 10, 11, 45, 81, 400, 401)] == [
        1, 1, 4, 10, 10, 20, 50, 100, 400, 500,
    ]  # fmt: skip
    assert charts.in_words([Interval(mean=0.714, low=0, high=1, n=1)] * 2) == "71\u00a0%, 71\u00a0%"
