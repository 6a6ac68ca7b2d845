"""The dial at the start of a run: what is known of data and machine, and what is chosen from it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch

from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.dial import Choice, Facts, Speed, choose
from gptkit.model import GPT
from gptkit.model.config import ModelConfig
from gptkit.recipes.train.session import resolved
from gptkit.runtime.memory import keep_freed_memory
from gptkit.runtime.runtime import Runtime
from gptkit.runtime.timing import best_seconds
from gptkit.training.objective import NextTokenObjective
from gptkit.training.optimizer_config import OPTIMIZERS, MuonConfig

# Tokens of a trial step: enough for matrix products at full speed.
_TRIAL_TOKENS = {"cpu": 2048, "cuda": 32768, "mps": 8192}
_TRIAL_SECONDS = 0.3
# The trial is not compiled; gptkit/runtime/choose.py counts on half of the time saved.
_COMPILED_SPEEDUP = 2.0


def turn_dial(config: RunConfig, dataset: Dataset, runtime: Runtime) -> Choice:
    """Return `config` with what it leaves open chosen for this text and this machine, and why.

    Every rank comes to the same: what was measured is agreed upon.
    """
    splits = dataset.manifest.splits

    @cache
    def speed(model: ModelConfig) -> Speed:
        own = trial_speed(model, dataset.tokenizer.vocab_size, runtime)
        slowest, longest = runtime.largest([-own.tokens_per_second, own.step_seconds])
        return Speed(-slowest * runtime.world_size, longest)

    facts = Facts(
        vocab_size=dataset.tokenizer.vocab_size,
        train_tokens=splits["train"].tokens,
        val_tokens=splits["val"].tokens if "val" in splits else 0,
        devices=runtime.world_size,
        speed=speed,
    )
    choice = choose(config, facts)
    return replace(choice, config=resolved(choice.config, runtime))


def trial_speed(config: ModelConfig, vocab_size: int, runtime: Runtime) -> Speed:
    """Return how fast this device trains a model, from a third of a second of trials.

    The steps are Muon's: the optimizer that the dial chooses. None waits for another rank. 0 tokens
    per second where the device has no memory for a step.
    """
    if runtime.device.type == "cpu":
        keep_freed_memory()  # as in training
    model = GPT(config, vocab_size)
    model.init_weights(seed=0)
    model.to(runtime.device)
    objective = NextTokenObjective(model).train()
    optimizer = OPTIMIZERS.build(MuonConfig(), model)
    rows = max(1, _TRIAL_TOKENS[runtime.device.type] // config.context_length)
    tokens = torch.zeros((rows, config.context_length), dtype=torch.int64, device=runtime.device)

    def passes() -> None:
        with runtime.autocast():
            loss = objective(tokens, tokens, documents=None)
        torch.autograd.backward(loss / tokens.numel())

    try:
        seconds = best_seconds(passes, runtime.device, seconds=_TRIAL_SECONDS)
        step_seconds = best_seconds(optimizer.step, runtime.device, seconds=0.0)
    except torch.OutOfMemoryError:
        return Speed(0.0)
    speedup = _COMPILED_SPEEDUP if runtime.config.compile else 1.0
    return Speed(speedup * tokens.numel() / seconds, step_seconds)
