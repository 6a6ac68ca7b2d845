"""`RunConfig`: everything a run depends on, and the rules that hold between its sections."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from gptkit.data.config import DataConfig
from gptkit.data.sources import PreferenceConfig, TokensConfig
from gptkit.loggers.config import LOGGERS
from gptkit.model.adapter_config import ADAPTERS, NoAdapterConfig
from gptkit.model.config import ModelConfig
from gptkit.model.ladder import MODELS
from gptkit.runtime.config import RuntimeConfig
from gptkit.section import FilePath, Section
from gptkit.training.config import TrainingConfig
from gptkit.training.objective_config import OBJECTIVES, DPOConfig, NextTokenConfig
from gptkit.training.optimizer_config import OPTIMIZERS, AdamWConfig
from gptkit.training.schedules import SCHEDULES, ScheduleConfig, WSDConfig


class RunConfig(Section):
    """Everything a run depends on; saved, resolved, with every checkpoint."""

    run_dir: FilePath | None = None
    """Folder of the run; null: runs/NAME, NAME-2, ... after the config's file name."""
    data: DataConfig
    model: Annotated[ModelConfig, MODELS] = ModelConfig()
    """Or a smaller rung of the ladder, which has those of its settings that mean something there."""
    adapter: Annotated[Section, ADAPTERS] = NoAdapterConfig()
    """Learns in the place of the model's own parameters; needs model.init_from."""
    freeze: tuple[str, ...] = ()
    """Parameters that stay as they are, by name or pattern: token_embedding.*, blocks.0.*"""
    objective: Annotated[Section, OBJECTIVES] = NextTokenConfig()
    """What the loss of a batch is; dpo learns from the pairs of data.source: {name: preference}."""
    optimizer: Annotated[Section, OPTIMIZERS] = AdamWConfig()
    schedule: Annotated[Section, SCHEDULES] = WSDConfig()
    training: TrainingConfig = TrainingConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    loggers: tuple[Annotated[Section, LOGGERS], ...] = ()
    """Trackers beside metrics.jsonl and the console, which are always on."""
    plugins: tuple[FilePath, ...] = ()
    """Python files, beside this config, that add variants to the choices."""

    @model_validator(mode="after")
    def _sections_fit_together(self) -> RunConfig:
        problems = [
            *_schedule_problems(self),
            *_adapter_problems(self),
            *_objective_problems(self),
        ]
        if problems:
            errors: list[dict[str, Any]] = [
                {"type": "value_error", "loc": loc, "msg": what, "input": None}
                for loc, what in problems
            ]
            raise PydanticCustomError("nested", "nested", {"errors": errors})
        return self


def _adapter_problems(config: RunConfig) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(config.adapter, NoAdapterConfig):
        return []
    if config.model.init_from is None:
        return [(("adapter",), "adapts a finished model: model.init_from must name one")]
    if config.freeze:
        return [(("freeze",), "an adapter freezes the whole model already; remove one of the two")]
    return []


def _objective_problems(config: RunConfig) -> list[tuple[tuple[str, ...], str]]:
    source, is_dpo = config.data.source, isinstance(config.objective, DPOConfig)
    are_pairs = isinstance(source, PreferenceConfig)
    if are_pairs and not is_dpo:
        return [(("objective",), "pairs of answers are learned from by objective: {name: dpo}")]
    if not is_dpo:
        return []
    problems: list[tuple[tuple[str, ...], str]] = []
    if not are_pairs and not isinstance(source, TokensConfig):
        what = "(dpo) learns from pairs: data.source must be {name: preference, paths: [my.jsonl]}"
        problems.append((("objective", "name"), what))
    if config.model.init_from is None:
        what = "(dpo) measures how far a finished model moves: model.init_from must name one"
        problems.append((("objective", "name"), what))
    return problems


def _schedule_problems(config: RunConfig) -> list[tuple[tuple[str, ...], str]]:
    schedule, max_steps = config.schedule, config.training.max_steps
    if not isinstance(schedule, ScheduleConfig) or max_steps is None:
        return []
    warmup = schedule.warmup_steps or 0
    if warmup and warmup >= max_steps:
        what = f"({warmup}) must be less than training.max_steps ({max_steps})"
        return [(("schedule", "warmup_steps"), what)]
    decay = schedule.decay_steps if isinstance(schedule, WSDConfig) else None
    if decay is not None and warmup + decay > max_steps:
        what = f"({decay}) and the warmup are more than training.max_steps ({max_steps})"
        return [(("schedule", "decay_steps"), what)]
    return []
