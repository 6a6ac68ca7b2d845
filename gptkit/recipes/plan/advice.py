"""What is odd about a plan, each with a setting that mends it."""

from __future__ import annotations

from collections.abc import Iterator

from gptkit.config import RunConfig
from gptkit.model.config import ModelConfig
from gptkit.recipes.plan.facts import Plan
from gptkit.tokenizers.config import BPEConfig
from gptkit.training.optimizer_config import AdamWConfig

_MANY_EPOCHS = 8
_EPOCHS_FOR_NGRAMS = 6  # at 12 they harm, at 1 they help (benchmarks/ablation.md)
_FEW_TOKENS_PER_PARAMETER = 3
_FEW_VAL_TOKENS = 20_000
_FEW_STEPS = 200
_FEW_TOKENS_PER_ENTRY = 100
_FULL = 0.9
_SLOW_EVALUATIONS = 0.2
# AdamW at 256 channels; the best one falls with the root of the width. (nanochat's and our own runs.)
_BEST_ADAMW, _AT_WIDTH = 3e-3, 256
_FAR = 4.0


def advice(config: RunConfig, plan: Plan) -> Iterator[str]:
    """Yield one sentence for each thing that a better setting would mend."""
    yield from _memory(config, plan)
    yield from _amount(config, plan)
    yield from _data(config, plan)
    yield from _optimizer(config)
    yield from _time(config, plan)


def _memory(config: RunConfig, plan: Plan) -> Iterator[str]:
    if plan.memory.device is None or plan.memory.total < _FULL * plan.memory.device:
        return
    rows = config.training.micro_batch_size or config.training.batch_size
    fits = plan.memory.rows_that_fit(rows, _FULL)
    what = f"memory: the run takes {plan.memory.total / 1e9:.1f} GB of {plan.memory.device / 1e9:.1f} GB"
    if fits:
        yield f"{what}; training.micro_batch_size: {fits} would take less and learn the same"
    else:
        yield f"{what}; a smaller model.n_embd, n_layer or context_length is needed"


def _amount(config: RunConfig, plan: Plan) -> Iterator[str]:
    if plan.steps is not None and plan.steps < _FEW_STEPS:
        yield (
            f"steps: {plan.steps} steps teach little; a smaller training.batch_size makes more steps"
            " of the same tokens"
        )
    if plan.tokens is None or plan.epochs is None:
        return
    if plan.epochs > _MANY_EPOCHS and not config.model.dropout and config.training.patience is None:
        yield (
            f"overfitting: the text is read {plan.epochs:.0f} times and nothing keeps the model from learning"
            " it by heart; model.dropout: 0.2, or training.patience: 3 to end when it begins"
        )
    if plan.epochs > _EPOCHS_FOR_NGRAMS and getattr(config.model, "ngram_rows", None):
        yield (
            f"n-grams: the text is read {plan.epochs:.0f} times, and tables of n-grams are the first to learn it"
            " by heart; model.ngram_rows: null"
        )
    if plan.tokens < _FEW_TOKENS_PER_PARAMETER * plan.total_parameters:
        yield (
            f"size: {plan.tokens / plan.total_parameters:.1f} tokens for each parameter leave the model half"
            " taught; a smaller model.n_embd gets further in the same time, or raise training.max_steps"
        )


def _data(config: RunConfig, plan: Plan) -> Iterator[str]:
    if 0 < plan.val_tokens < _FEW_VAL_TOKENS:
        yield (
            f"validation: {plan.val_tokens:,} tokens say little about small differences;"
            " raise data.val_fraction"
        )
    tokenizer = config.data.tokenizer
    if (
        isinstance(tokenizer, BPEConfig)
        and plan.train_tokens < _FEW_TOKENS_PER_ENTRY * plan.vocab_size
    ):
        fitting = max(300, plan.train_tokens // _FEW_TOKENS_PER_ENTRY)
        yield (
            f"vocabulary: {plan.vocab_size:,} entries share {plan.train_tokens:,} tokens;"
            f" data.tokenizer.vocab_size: {fitting} lets each be seen often"
        )
    if 0 < plan.val_tokens <= config.model.context_length:
        yield "validation: the split is shorter than one context; raise data.val_fraction"


def _optimizer(config: RunConfig) -> Iterator[str]:
    optimizer = config.optimizer
    width = config.model.n_embd if isinstance(config.model, ModelConfig) else None
    if not isinstance(optimizer, AdamWConfig) or width is None:
        return
    best = _BEST_ADAMW * (_AT_WIDTH / width) ** 0.5
    if not best / _FAR <= optimizer.learning_rate <= best * _FAR:
        kind = "high" if optimizer.learning_rate > best else "low"
        yield (
            f"learning rate: {optimizer.learning_rate:g} is {kind} for {width} channels;"
            f" optimizer.learning_rate: {best:.0e} is a usual one"
        )


def _time(config: RunConfig, plan: Plan) -> Iterator[str]:
    if plan.seconds is None or plan.evaluation_seconds is None:
        return
    if plan.evaluation_seconds > _SLOW_EVALUATIONS * plan.seconds:
        share = plan.evaluation_seconds / plan.seconds
        yield (
            f"time: {share:.0%} of it goes to evaluations and samples;"
            f" training.eval_every: {4 * config.training.eval_every}"
        )
