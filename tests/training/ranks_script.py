"""What test_ranks.py runs as one process and as two: twenty steps of a tiny GPT with dropout.

It learns from text, from conversations by an adapter, or from pairs of answers.

python ranks_script.py OUT      as one rank of a group; rank 0 writes its weights to OUT
"""

import signal
import sys

import numpy as np
import torch
from safetensors.torch import save_file

from gptkit.data.batches import EvaluationWindows, TrainingWindows
from gptkit.data.packing import EvaluationConversations, TrainingConversations
from gptkit.model import GPT, ModelConfig
from gptkit.model.adapter_config import LoRAConfig
from gptkit.model.lora import add_lora
from gptkit.runtime import Interrupt, Runtime, RuntimeConfig, Workload
from gptkit.training.config import TrainingConfig
from gptkit.training.evaluate import evaluate
from gptkit.training.feed import Feed
from gptkit.training.limits import Limits
from gptkit.training.loop import Beside, train
from gptkit.training.objective_config import OBJECTIVES, DPOConfig, NextTokenConfig
from gptkit.training.optimizer_config import OPTIMIZERS, AdamWConfig
from gptkit.training.pace import Pace
from gptkit.training.preference import evaluate_pairs
from gptkit.training.progress import Progress
from gptkit.training.schedules import WSDConfig
from gptkit.training.snapshot import TrainingState
from gptkit.training.spikes import SpikeWatch

STEPS = 20


class TokenRow:
    def __init__(self, ids):
        self._ids = ids.astype(np.uint16)
        self.document_starts = np.zeros(1, dtype=np.int64)

    def __len__(self):
        return len(self._ids)

    def window(self, start, length):
        return self._ids[start : start + length]


KINDS = ("text", "conversations", "pairs")


def data_of(kind):
    """Return micro-batches of one sequence, and batches of a validation split: an odd number for two ranks."""
    text = TokenRow(np.random.default_rng(3).integers(0, 11, 400))
    if kind == "text":
        val = EvaluationWindows(text, 8)
        val._rows = 10
        return TrainingWindows(text, 1, 8, seed=1337), val
    text.document_starts = np.arange(0, 400, 5)
    is_target = np.arange(400) % 5 > 2
    margins = np.random.default_rng(4).normal(size=40) if kind == "pairs" else None
    val = EvaluationConversations(text, is_target, 8, margins=margins)
    val._rows = 30
    return TrainingConversations(text, is_target, 1, 8, seed=1337, margins=margins), val


def train_tiny(runtime, *, kind="text", signal_on_last_rank=None):
    """Return the weights, the metrics by step and the outcome."""
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 16, "context_length": 8, "dropout": 0.2}
    model = GPT(ModelConfig(**sizes), 11)
    model.init_weights(1)
    if kind == "conversations":
        add_lora(LoRAConfig(rank=2, dropout=0.2), model, seed=2)
    section = DPOConfig() if kind == "pairs" else NextTokenConfig()
    config = TrainingConfig(
        max_steps=STEPS, batch_size=4, micro_batch_size=1, eval_every=10, log_every=5
    )
    optimizer = OPTIMIZERS.build(AdamWConfig(), model)
    objective = OBJECTIVES.build(section, model)
    training, val = data_of(kind)
    replica = runtime.replicate(objective, training.batch(0).tokens, warn=print)
    interrupt, lines = Interrupt(), {}

    def save(snapshot):
        assert runtime.is_main

    def nothing(*args):
        pass

    def log(metrics, step):
        lines[step] = dict(metrics)

    def score():
        if signal_on_last_rank is not None and runtime.rank == runtime.world_size - 1:
            interrupt.signal_number = signal_on_last_rank
        stop = lambda: bool(interrupt)  # noqa: E731
        if kind == "pairs":
            return evaluate_pairs(model, val, runtime, section.beta, stop)
        return evaluate(model, val, runtime, should_stop=stop)

    with Feed(training, runtime) as feed:
        outcome = train(
            replica,
            feed,
            state=TrainingState(model, optimizer, runtime.scaler),
            schedule=WSDConfig(),
            config=config,
            limits=Limits.of(config, context_length=8, num_windows=49),
            progress=Progress(),
            runtime=runtime,
            spikes=SpikeWatch(None, vocab_size=11),
            beside=Beside(score, save, nothing, log, nothing, nothing),
            interrupt=interrupt,
            pace=Pace(),
        )
    return {name: p.detach() for name, p in model.named_parameters()}, lines, outcome


def facts_of(kind, weights, lines):
    """Return what two ways to train are compared by, as tensors by name."""
    facts = {f"val_loss.{step}": lines[step]["val_loss"] for step in (10, 20)}
    facts |= {f"train_loss.{step}": lines[step]["train_loss"] for step in (5, 15)}
    numbers = {key: torch.tensor(value) for key, value in facts.items()}
    return {f"{kind}.{name}": tensor.clone() for name, tensor in {**weights, **numbers}.items()}


def main(out):
    with Runtime.start(RuntimeConfig(device="cpu"), Workload(n_embd=16)) as runtime:
        found = {}
        for kind in KINDS:
            weights, lines, outcome = train_tiny(runtime, kind=kind)
            assert outcome.progress.step == STEPS
            if runtime.is_main:
                found |= facts_of(kind, weights, lines)
        _, _, stopped = train_tiny(runtime, signal_on_last_rank=signal.SIGTERM)
        assert (stopped.progress.step, stopped.signal_number) == (10, signal.SIGTERM)
        if runtime.is_main:
            save_file(found, out)


if __name__ == "__main__":
    main(sys.argv[1])
