"""The scripts of `make real`: what they take from published sets, and a reward model beside its baselines."""

from __future__ import annotations

import gzip
import importlib.util
import json
import lzma
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tiny import Tiny, write_rows
from tutelage.errors import ConfigError, DataError
from tutelage.records import Ranking
from tutelage.store.sources import load_demonstrations, load_prompts, load_rankings

EXAMPLES = Path(__file__).parent.parent / "examples"
LONG = " ".join(["word"] * 200)


def _example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


real_data = _example("real_data")


def _ranking(texts: list[str], order: list[list[int]], **others: Any) -> Ranking:
    completions = [{"id": f"c{place}", "text": text} for place, text in enumerate(texts)]
    row = {"prompt": "Why?", "completions": completions, "ranking": [[f"c{i}" for i in group] for group in order]}
    return Ranking.model_validate(row | others)


def test_long_completions_go_with_what_was_said_of_them() -> None:
    """Of c2 > c0 = c3 > c1, without the long c2 there stays c0 = c3 > c1: two comparisons."""
    ranking = _ranking(["A b.", "C.", LONG, "D e f."], [[2], [0, 3], [1]])
    shorter = real_data.shortened(ranking)
    assert [completion.id for completion in shorter.completions] == ["c0", "c1", "c3"]
    assert shorter.ranking == (("c0", "c3"), ("c1",))
    assert sorted(shorter.pairs()) == [(0, 1), (2, 1)]
    judged = _ranking(["A b.", "C.", LONG], [[2], [0], [1]], comparisons=[("c2", "c0"), ("c0", "c1")])
    assert real_data.shortened(judged).pairs() == [(0, 1)]


def test_what_has_nothing_left_to_compare_is_no_ranking() -> None:
    assert real_data.shortened(_ranking(["A.", LONG], [[0], [1]])) is None
    assert real_data.shortened(_ranking(["A.", "B.", LONG], [[2], [0, 1]])) is None
    assert real_data.shortened(_ranking(["A.", ""], [[0], [1]])) is None


def test_the_best_completion_is_a_demonstration_where_it_is_short() -> None:
    assert real_data.best_of(_ranking(["A.", "B."], [[1], [0]])).response == "B."
    assert real_data.best_of(_ranking(["A.", LONG], [[1], [0]])) is None


def _compressed(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Files of the published forms: 160 nine-way rows (of three completions), the others small."""
    folder = tmp_path / "shared"
    judged = [{"annotator": "model", "group": "AI", "kind": "score_vs_reference", "value": [0.1, 0.9, 0.4]}]
    nine_way = [
        {
            "source": "alpaca_eval_gpt4",
            "id": i,
            "prompt": f"Question {i}?",
            "dataset": "selfinstruct" if i < 110 else "koala",
            "completions": [f"Yes {i}.", LONG if i % 3 == 0 else f"No {i}.", LONG],
            "annotations": judged,
        }
        for i in range(160)
    ]
    _compressed(folder / real_data.NINE_WAY, nine_way)
    ranked = [{"annotator": "consensus", "group": None, "kind": "rank", "value": [2, 1]}]
    replies = {"prompt": "User: Name a pear.", "completions": ["A pear.", "Conference."], "annotations": ranked}
    _compressed(folder / real_data.OASST, [{"source": "oasst_100trees", "id": "a", **replies}])
    pairs = [{"annotator": "unknown", "group": None, "kind": "all_pairs", "pairs": [[0, 1]], "value": [2]}]
    questions = [
        {
            "source": "finegrained_rlhf_dev",
            "id": i,
            "prompt": f"Who is {i}?",
            "passages": [["Title", LONG]],
            "completions": ["He.", "She."],
            "annotations": pairs,
        }
        for i in range(30)
    ]
    _compressed(folder / real_data.FINEGRAINED, questions)
    instances = [{"input": "", "output": "Oats."}]
    _compressed(folder / real_data.TASKS, [{"id": "t", "instruction": "Name a breakfast.", "instances": instances}])
    books = folder / real_data.BOOKS
    books.parent.mkdir()
    books.write_bytes(lzma.compress(("\n\n".join([LONG] * 8) + "\n<|endoftext|>\n").encode()))
    return folder


def test_every_prompt_has_one_use(shared: Path, tmp_path: Path) -> None:
    """Trained and evaluated prompts are apart, and PPO's prompts are not those of its reward model."""
    out = tmp_path / "out"
    counts = real_data.make(shared, out, num_questions=24)
    prompts = list(load_prompts(out / "prompts.jsonl"))
    ppo = {prompt.text for prompt in prompts if prompt.purpose == "ppo" and prompt.split == "train"}
    tested = {prompt.text for prompt in prompts if prompt.split == "test"}
    ranked, held_out, whole = (
        {r.prompt for r in load_rankings(out / f"{name}.jsonl")} for name in ("rankings", "rankings_valid", "nine_way")
    )
    evaluated = {f"Question {i}?" for i in range(110)}
    assert len(tested) == 110 - real_data.NUM_VALIDATION and len(whole) == real_data.NUM_WHOLE
    assert tested | held_out | whole <= evaluated and not tested & (held_out | whole)
    assert ppo == {f"Question {i}?" for i in range(110, 160) if i % 3 == 0}
    assert ranked - {None} == {f"Question {i}?" for i in range(110, 160) if i % 3}
    demonstrations = list(load_demonstrations(out / "demonstrations.jsonl"))
    assert [one.response for one in demonstrations] == ["Conference.", "Oats."]
    assert counts["questions"] == 24 and counts["rankings"] == len(ranked)


def test_folds_hold_each_question_once_and_train_on_the_others(shared: Path, tmp_path: Path) -> None:
    real_data.make(shared, tmp_path / "out", num_questions=24)
    folds, rests = (
        [{r.prompt for r in load_rankings(tmp_path / "out" / f"{name}{number}.jsonl")} for number in range(3)]
        for name in ("fold", "train")
    )
    questions = {f"Who is {i}?" for i in range(24)}
    assert sum(map(len, folds)) == 24 and set().union(*folds) == questions and all(folds)
    assert all(fold | rest == questions and not fold & rest for fold, rest in zip(folds, rests, strict=True))


def test_a_set_that_is_cut_is_refused(shared: Path, tmp_path: Path) -> None:
    with gzip.open(shared / real_data.NINE_WAY) as lines:
        first = [json.loads(line) for line in lines][:3]
    _compressed(shared / real_data.NINE_WAY, first)
    with pytest.raises(DataError, match="has 3 prompts of the part 'selfinstruct': is it cut"):
        real_data.make(shared, tmp_path / "out", num_questions=24)


class TestAccuracy:
    @pytest.fixture(scope="class")
    def reward_accuracy(self) -> ModuleType:
        pytest.importorskip("torch", reason="scores are computed")
        return _example("reward_accuracy")

    def test_share_right_by_hand(self, reward_accuracy: ModuleType) -> None:
        """c1 > c0 > c2: of 5 > 3 right, 5 > 3 right, 3 = 3 half: 2.5 / 3."""
        ranking = _ranking(["A.", "B.", "C."], [[1], [0], [2]])
        assert reward_accuracy.share_right(ranking, [3.0, 5.0, 3.0]) == pytest.approx(2.5 / 3)

    def test_accuracies_and_leads_by_hand(self, reward_accuracy: ModuleType) -> None:
        """Two rankings of two: the model has both right, length one, likelihood none; leads 0.5 and 1."""
        rankings = [_ranking(["A.", "B."], [[0], [1]]), _ranking(["A.", "B."], [[1], [0]], prompt="How?")]
        ways = ("reward model", "longer text", "likelihood")
        numbers = dict(zip(ways, ([[2, 1], [1, 2]], [[2, 1], [2, 1]], [[1, 2], [2, 1]]), strict=True))
        found = reward_accuracy.accuracies(rankings, numbers)
        assert [found[way][0] for way in ways] == [1.0, 0.5, 0.0]
        assert found["reward model less longer text"][0] == 0.5
        assert found["reward model less likelihood"][0] == 1.0
        assert (found["num_rankings"], found["num_comparisons"]) == (2, 2)

    def test_models_against_transformers(self, reward_accuracy: ModuleType, tiny: Tiny, tmp_path: Path) -> None:
        """Plain forward passes, a completion at a time, give the same shares; two files of rankings are joined."""
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

        rows = [json.loads(line) for line in tiny.rankings.read_text().splitlines()][:12]
        files = [write_rows(tmp_path / f"{n}.jsonl", part) for n, part in enumerate((rows[:5], rows[5:]))]
        pairs = [f"{tiny.reward_model}={file}" for file in files]
        found = reward_accuracy.joined(str(tiny.policy), pairs, dtype="float32", max_tokens=40)
        tokenizer = AutoTokenizer.from_pretrained(tiny.policy)
        policy = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
        scorer = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model, num_labels=1).eval()

        def numbers_of(prompt: str, text: str) -> tuple[float, float, float]:
            start = [0, *tokenizer(f"{prompt}\n\n", add_special_tokens=False)["input_ids"]]
            response = [*tokenizer(text, add_special_tokens=False)["input_ids"], 0]
            ids = torch.tensor([start + response])
            with torch.no_grad():
                logprobs = policy(ids).logits[0].log_softmax(-1)
                states = scorer.model(ids).last_hidden_state[0, -1]
                score = float(scorer.score(states))
            own = [float(logprobs[len(start) - 1 + i, token]) for i, token in enumerate(response)]
            return score, float(len(text)), sum(own) / len(own)

        ways = ("reward model", "longer text", "likelihood")
        shares: dict[str, list[float]] = {way: [] for way in ways}
        for row in rows:
            ranking = Ranking.model_validate(row)
            told = [numbers_of(row["prompt"], completion["text"]) for completion in row["completions"]]
            for way, numbers in zip(ways, zip(*told, strict=True), strict=True):
                right = [float(numbers[i] > numbers[j]) for i, j in ranking.pairs()]
                shares[way].append(sum(right) / len(right))
        for way in ways:
            assert found[way][0] == pytest.approx(sum(shares[way]) / len(rows), abs=1e-4), way
            assert found[way][1] <= found[way][0] <= found[way][2]

    def test_a_pair_without_its_file_is_refused(self, reward_accuracy: ModuleType, tiny: Tiny) -> None:
        with pytest.raises(ConfigError, match="must be MODEL_FOLDER=RANKINGS_FILE"):
            reward_accuracy.joined(str(tiny.policy), [str(tiny.reward_model)], dtype="float32", max_tokens=40)
