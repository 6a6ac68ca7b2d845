"""gptkit train: make the parts, hand them to the loop, say how it ended.

config -> where it goes on -> runtime -> data -> dial -> parts -> run folder -> loop -> last words
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

from gptkit.checkpoint import Retention
from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.data.folders import prepared_folder
from gptkit.data.prepare import prepare_dataset
from gptkit.dial import num_weights, open_keys, tokens_to_learn_from
from gptkit.loggers.metrics import METRICS_NAME, read_metrics
from gptkit.plugins import plugin_sources
from gptkit.recipes.journal import Journal, TerminalProgress
from gptkit.recipes.train.check import min_train_tokens
from gptkit.recipes.train.dialled import turn_dial
from gptkit.recipes.train.parts import Parts, build_parts
from gptkit.recipes.train.preflight import check_before_training
from gptkit.recipes.train.resume import (
    Resumed,
    adopt,
    changes,
    check_data_identity,
    find_target,
    read_target,
)
from gptkit.recipes.train.run_folder import (
    removed_on_error,
)
from gptkit.recipes.train.session import Session, resolved, run_session
from gptkit.recipes.train.words import complete_words
from gptkit.recipes.writing import check_prompt
from gptkit.runs import hold_run
from gptkit.runtime.choose import Workload
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.launch import Place
from gptkit.runtime.runtime import Runtime


def train(
    config: RunConfig, *, name: str, folder: Path, resume: str | None, again: str | None = None
) -> Path | None:
    """Train a config to its end and return the run folder; None on the ranks that leave saving to rank 0.

    name: of the run folder, where the config does not say; folder: where its plugins are; again: the config as the
    user named it, if that says all.

    Raises: GptkitError; Interrupted, after saving, when a signal came.
    """
    place = Place.from_environment()
    journal = Journal(speaks=place.rank == 0)
    with Interrupt() as interrupt, closing(journal), ExitStack() as held:
        with interrupt.at_once():
            target = find_target(resume, config, name)
            resumed = None
            if target is not None:
                if place.rank == 0:
                    held.enter_context(hold_run(target.run_dir, warn=journal.say))
                resumed = read_target(target, is_main=place.rank == 0, say=journal.say)
                config = config.model_copy(update={"run_dir": target.run_dir})
            plugins = plugin_sources(config.plugins, folder)
            if resumed is not None:
                config = adopt(config, resumed, place.world_size)
            runtime = held.enter_context(Runtime.start(config.runtime, workload(config)))
        changed = []
        if resumed is not None:
            config = resolved(config, runtime)
            changed = changes(config, resumed)
        with removed_on_error(prepared_folder()) as made:
            with interrupt.soon():
                dataset = _prepare(config, runtime, interrupt)
            made.append(dataset.folder)
            check_prompt(config.training.sample_prompt, dataset.tokenizer)
            if resumed is not None:
                check_data_identity(dataset.identity, resumed.checkpoint)
            with interrupt.at_once():
                if resumed is None:
                    choice = turn_dial(config, dataset, runtime)
                    config = choice.config
                    for reason in choice.reasons:
                        journal.say(f"chosen   {reason}")
                parts = build_parts(config, dataset, runtime, resumed, say=journal.say)
                if resumed is None and config.training.preflight and runtime.is_main:
                    check_before_training(config, dataset, parts, plugins, journal.say)
        session = Session(
            config=config,
            name=name,
            again=again,
            plugins=plugins,
            held_folder=target.run_dir if target is not None else None,
            dataset=dataset,
            parts=parts,
            runtime=runtime,
            interrupt=interrupt,
            journal=journal,
        )
        if resumed is not None and _is_complete(parts, resumed):
            if place.rank == 0:
                Retention(resumed.run_dir, config.training.keep_checkpoints).finish()
            journal.say(
                complete_words(
                    resumed.run_dir,
                    parts,
                    again,
                    plugins=bool(session.plugins),
                    is_chat=dataset.is_chat,
                )
            )
            return resumed.run_dir
        return run_session(session, changed)


def workload(config: RunConfig) -> Workload:
    """Return about how much the run will compute: its vocabulary is not known yet."""
    model, training = config.model, config.training
    per_token = 6 * 12 * model.n_layer * model.n_embd**2
    tokens: float | None = training.max_tokens
    left_open = open_keys(config)
    if "training.max_steps" in left_open:
        weights = num_weights(model.n_layer, model.n_embd, vocab_size=0)
        tokens = tokens_to_learn_from(weights)
    elif tokens is None and training.max_steps is not None:
        tokens = training.max_steps * training.batch_size * model.context_length
    return Workload(
        n_embd=model.n_embd,
        total_flops=None if tokens is None else float(per_token * tokens),
        seconds=training.time_budget,
    )


def _prepare(config: RunConfig, runtime: Runtime, interrupt: Interrupt) -> Dataset:
    """Prepare the data on rank 0 while the others wait; then all open it."""
    if not runtime.is_main:
        runtime.barrier()
    dataset = prepare_dataset(
        config.data,
        min_train_tokens=min_train_tokens(config),
        progress=TerminalProgress(interrupt),
    )
    if runtime.is_main:
        runtime.barrier()
    return dataset


def _is_complete(parts: Parts, resumed: Resumed) -> bool:
    """Whether the run reached its last step before, and that step was evaluated."""
    rows = read_metrics(resumed.run_dir / METRICS_NAME)
    done = parts.limits.reached(parts.progress) is not None
    evaluated = parts.batches.validation is None or (bool(rows) and "val_loss" in rows[-1])
    return done and bool(rows) and rows[-1]["step"] == parts.progress.step and evaluated
