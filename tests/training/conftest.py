"""A tiny GPT on a tiny text, and a run of it with everything beside the steps kept in lists."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from gptkit.data.batches import TrainingWindows
from gptkit.model import GPT, ModelConfig
from gptkit.runtime import Interrupt, Runtime
from gptkit.training.config import TrainingConfig
from gptkit.training.evaluate import Evaluation
from gptkit.training.feed import Feed
from gptkit.training.limits import Limits
from gptkit.training.loop import Beside, train
from gptkit.training.objective import NextTokenObjective
from gptkit.training.optimizer_config import OPTIMIZERS
from gptkit.training.pace import Pace
from gptkit.training.progress import Progress
from gptkit.training.schedules import SCHEDULES
from gptkit.training.snapshot import TrainingState
from gptkit.training.spikes import SpikeWatch

VOCAB_SIZE = 11
CONTEXT_LENGTH = 8


class TokenRow:
    """Tokens in memory, one document."""

    def __init__(self, ids):
        self._ids = np.asarray(ids, dtype=np.uint16)
        self.document_starts = np.zeros(1, dtype=np.int64)

    def __len__(self):
        return len(self._ids)

    def window(self, start, length):
        return self._ids[start : start + length]


@dataclass
class TinyRun:
    """A run that can be stopped and gone on with; `events` holds what happened, in order."""

    settings: dict = field(default_factory=dict)
    optimizer_settings: dict = field(default_factory=lambda: {"name": "adamw"})
    schedule_settings: dict = field(default_factory=lambda: {"name": "cosine"})
    val_losses: list = field(default_factory=list)
    dropout: float = 0.2

    def __post_init__(self):
        defaults = {"max_steps": 10, "batch_size": 4, "micro_batch_size": 2, "eval_every": 5}
        self.config = TrainingConfig(**{**defaults, "log_every": 1, **self.settings})
        self.schedule = SCHEDULES.validate(self.schedule_settings)
        self.limits = Limits.of(self.config, context_length=CONTEXT_LENGTH, num_windows=40)
        self.runtime = Runtime(torch.device("cpu"))
        self.model = tiny_gpt(dropout=self.dropout)
        section = OPTIMIZERS.validate(self.optimizer_settings)
        self.optimizer = OPTIMIZERS.build(section, self.model)
        self.state = TrainingState(self.model, self.optimizer, self.runtime.scaler)
        self.good = None
        self.progress = Progress()
        self.interrupt = Interrupt()
        self.windows = TrainingWindows(
            tiny_text(), self.config.micro_batch_size, CONTEXT_LENGTH, seed=self.config.seed
        )
        self.events = []
        self.lines = {}
        self.saved = {}
        self.evaluate = self._evaluate
        self.on_save = None
        self.replica = NextTokenObjective(self.model)

    def train(self):
        with Feed(self.windows, self.runtime) as feed:
            return train(
                self.replica,
                feed,
                state=self.state,
                schedule=self.schedule,
                config=self.config,
                limits=self.limits,
                progress=self.progress,
                runtime=self.runtime,
                spikes=SpikeWatch(self.config.spike_threshold, vocab_size=VOCAB_SIZE),
                beside=Beside(
                    evaluate=lambda: self.evaluate(),
                    save=self._save,
                    mark_best=self._mark_best,
                    log=self._log,
                    go_back=self._go_back,
                    resize=self._resize,
                ),
                interrupt=self.interrupt,
                pace=Pace(),
                good=self.good,
            )

    def resume(self, checkpoint):
        """Take the state that `saved` holds for a step."""
        self.state.restore(checkpoint)
        self.progress = Progress.from_json(checkpoint.progress.to_json())

    def weights(self):
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def _evaluate(self):
        self.events.append(("evaluate", self.progress.step))
        losses = self.val_losses
        loss = losses.pop(0) if losses else 1.0 / self.progress.step
        return Evaluation(loss=loss, accuracy=0.5, tokens=1)

    def _save(self, snapshot):
        step = snapshot.progress.step
        self.events.append(("save", step))
        self.saved[step] = snapshot
        if self.on_save is not None:
            self.on_save(snapshot.progress)

    def _go_back(self, progress, words):
        self.events.append(("go back", progress.step))
        self.lines = {step: line for step, line in self.lines.items() if step <= progress.step}

    def _resize(self, config, words):
        self.events.append(("resize", config.micro_batch_size))

    def _mark_best(self, progress):
        self.events.append(("best", progress.step))

    def _log(self, metrics, step):
        self.events.append(("log", step))
        self.lines[step] = dict(metrics)


def tiny_gpt(*, dropout=0.0, seed=1, **settings):
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 16, "context_length": CONTEXT_LENGTH}
    model = GPT(ModelConfig(**sizes, dropout=dropout, **settings), VOCAB_SIZE)
    model.init_weights(seed)
    return model


def tiny_text(length=41 * CONTEXT_LENGTH):
    return TokenRow(np.random.default_rng(7).integers(0, VOCAB_SIZE, length))


@pytest.fixture
def make_run():
    return TinyRun


@pytest.fixture
def make_model():
    return tiny_gpt


@pytest.fixture
def make_text():
    return tiny_text


@pytest.fixture
def token_row():
    return TokenRow


@pytest.fixture
def runtime():
    return Runtime(torch.device("cpu"))
