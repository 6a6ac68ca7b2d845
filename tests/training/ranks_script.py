"""What test_ranks.py runs as one process and as two: twenty steps of a tiny GPT with dropout.

python ranks_script.py OUT      as one rank of a group; rank 0 writes its weights to OUT
"""

import signal
import sys

import numpy as np
import torch
from safetensors.torch import save_file

from gptkit.data.batches import EvaluationWindows, TrainingWindows
from gptkit.model import GPT, ModelConfig
from gptkit.runtime import Interrupt, Runtime, RuntimeConfig, Workload
from gptkit.training.config import TrainingConfig
from gptkit.training.evaluate import evaluate
from gptkit.training.feed import Feed
from gptkit.training.limits import Limits
from gptkit.training.loop import Beside, train
from gptkit.training.objective import NextTokenObjective
from gptkit.training.optimizer_config import OPTIMIZERS, AdamWConfig
from gptkit.training.pace import Pace
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


def train_tiny(runtime, *, signal_on_last_rank=None):
    """Return the weights, the metrics by step and the outcome."""
    text = TokenRow(np.random.default_rng(3).integers(0, 11, 400))
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 16, "context_length": 8, "dropout": 0.2}
    model = GPT(ModelConfig(**sizes), 11)
    model.init_weights(1)
    config = TrainingConfig(
        max_steps=STEPS, batch_size=4, micro_batch_size=1, eval_every=10, log_every=5
    )
    optimizer = OPTIMIZERS.build(AdamWConfig(), model)
    objective = NextTokenObjective(model)
    replica = runtime.replicate(objective, torch.zeros(1, 8, dtype=torch.int64), warn=print)
    interrupt, lines = Interrupt(), {}
    # 384 tokens to score, in batches of few rows: an odd number of them for two ranks.
    val = EvaluationWindows(text, 8)
    val._rows = 10

    def save(snapshot):
        assert runtime.is_main

    def nothing(*args):
        pass

    def log(metrics, step):
        lines[step] = dict(metrics)

    def score():
        if signal_on_last_rank is not None and runtime.rank == runtime.world_size - 1:
            interrupt.signal_number = signal_on_last_rank
        return evaluate(model, val, runtime, should_stop=lambda: bool(interrupt))

    with Feed(TrainingWindows(text, 1, 8, seed=config.seed), runtime) as feed:
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


def main(out):
    with Runtime.start(RuntimeConfig(device="cpu"), Workload(n_embd=16)) as runtime:
        weights, lines, outcome = train_tiny(runtime)
        assert outcome.progress.step == STEPS
        _, _, stopped = train_tiny(runtime, signal_on_last_rank=signal.SIGTERM)
        assert (stopped.progress.step, stopped.signal_number) == (10, signal.SIGTERM)
        if runtime.is_main:
            facts = {f"val_loss.{step}": lines[step]["val_loss"] for step in (10, 20)}
            facts |= {f"train_loss.{step}": lines[step]["train_loss"] for step in (5, 15)}
            numbers = {key: torch.tensor(value) for key, value in facts.items()}
            save_file({**weights, **numbers}, out)


if __name__ == "__main__":
    main(sys.argv[1])
