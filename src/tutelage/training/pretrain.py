"""A base model from text: next-token training on documents."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

from tutelage.model.context import context_limit
from tutelage.model.loading import load_policy, load_tokenizer, new_language_model
from tutelage.model.measure import mean_language_loss
from tutelage.seeds import derived_seed
from tutelage.store.documents import load_text_documents
from tutelage.text.render import Renderer
from tutelage.text.tokenizers import train_tokenizer
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import PretrainConfig
from tutelage.training.corpus import Corpus, load_corpora, require_both_splits
from tutelage.training.data import LeftOut
from tutelage.training.learning import add_language_gradient
from tutelage.training.optim import Optimizer, require_finite
from tutelage.training.stage import Stage, run_stage

# Enough text for a tokenizer of any size that is trained here; more would only take longer.
TOKENIZER_CHARACTERS = 20_000_000
# On which the validation loss is measured; more would tell the same loss and only take longer.
VALIDATION_WINDOWS = 1000


def pretrain(config: PretrainConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train and save `out/model`; returns the summary."""
    return run_stage("pretrain", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: Stage, config: PretrainConfig) -> dict[str, Any]:
    left_out = LeftOut(skip_bad=config.skip_bad)
    require_both_splits(config.text, config.validation_share, skip_bad=config.skip_bad)
    model, tokenizer = _model_and_tokenizer(config)
    stage.set_precision(model)
    model.to(stage.device)  # type: ignore[arg-type]
    context = context_limit(model) - 1
    training, validation = load_corpora(
        config.text,
        Renderer(tokenizer=tokenizer),
        context_tokens=context,
        validation_share=config.validation_share,
        left_out=left_out,
    )
    optimizer = Optimizer(model, config.optimizer, config.num_steps)
    stage.components |= {"model": model, "optimizer": optimizer}
    order = ShuffledEpochs(len(training), seed=derived_seed(config.seed, "pretrain"))
    windows_per_step = max(1, round(config.tokens_per_step * len(training) / training.num_tokens))
    stage.try_saving(model, tokenizer)
    model.train()
    for step in stage.steps(config.num_steps):
        groups = training.groups(order.take(step * windows_per_step, windows_per_step))
        loss = add_language_gradient(
            model,
            groups,
            tokens_per_microbatch=config.tokens_per_microbatch,
            device=stage.device,
        )
        windows = f"windows {step * windows_per_step} and following"
        require_finite(loss, stage="pretrain", step=step, batch=windows)
        metrics = {"loss": loss, **optimizer.step(step, batch=windows)}
        every = config.evaluate_every_num_steps
        if every and (step + 1) % every == 0 and step + 1 < config.num_steps:
            metrics["validation_loss"] = _validation_loss(stage, config, model, validation)
        stage.note = f"loss {loss:.3f}"
        stage.log(step, metrics)
    final = _validation_loss(stage, config, model, validation)
    stage.log(config.num_steps - 1, {"validation_loss": final})
    stage.save_model(model, tokenizer, config.out / "model")
    return {
        "validation_loss": final,
        "num_training_tokens": training.num_tokens,
        "num_parameters": sum(p.numel() for p in model.parameters()),
        **left_out.summary(),
        "epochs": config.num_steps * windows_per_step / len(training),
    }


def _model_and_tokenizer(config: PretrainConfig) -> tuple[PreTrainedModel, Any]:
    if config.model is not None:
        return load_policy(config.model), load_tokenizer(config.model)
    new = config.new_model
    tokenizer = train_tokenizer(_first_characters(config), vocab_size=new.vocab_size, context_tokens=new.context_tokens)
    model = new_language_model(
        vocab_size=len(tokenizer),
        context_tokens=new.context_tokens,
        width=new.width,
        num_layers=new.num_layers,
        num_heads=new.num_heads,
        has_query_key_norm=new.has_query_key_norm,
        rope_theta=new.rope_theta,
        seed=derived_seed(config.seed, "weights"),
        tokenizer=tokenizer,
    )
    return model, tokenizer


def _first_characters(config: PretrainConfig) -> Any:
    seen = 0
    # What is malformed is noted when the windows are cut.
    for document in load_text_documents(config.text, skip_bad=config.skip_bad, on_skip=lambda _: None):
        yield document
        seen += len(document)
        if seen > TOKENIZER_CHARACTERS:
            return


def _validation_loss(stage: Stage, config: PretrainConfig, model: PreTrainedModel, validation: Corpus) -> float:
    # Drawn rather than the first: documents of one file often come sorted by where they are from.
    order = ShuffledEpochs(len(validation), seed=derived_seed(config.seed, "validation windows"))
    groups = validation.groups(sorted(order.take(0, min(len(validation), VALIDATION_WINDOWS))))
    return mean_language_loss(model, groups, tokens_per_microbatch=config.tokens_per_microbatch, device=stage.device)
