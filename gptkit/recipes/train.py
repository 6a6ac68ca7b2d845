"""gptkit train: make the parts, hand them to the loop, say how it ended.

config -> where it goes on -> runtime -> data -> parts -> run folder -> loop -> last words
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from gptkit.checkpoint.store import Contents
from gptkit.config import RunConfig, dump_config
from gptkit.data.dataset import Dataset
from gptkit.data.feeder import Feeder
from gptkit.data.prepare import prepare_dataset, prepared_path
from gptkit.errors import Interrupted
from gptkit.loggers.metrics import METRICS_NAME, read_metrics
from gptkit.recipes.beside import Evaluator, Saver
from gptkit.recipes.journal import Journal, TerminalProgress
from gptkit.recipes.load import Run, load_run
from gptkit.recipes.parts import Parts, build_parts
from gptkit.recipes.resume import (
    Resumed,
    adopt,
    changes,
    check_data_identity,
    find_target,
    read_target,
)
from gptkit.recipes.run_folder import (
    RunFolder,
    claim,
    open_run_folder,
    removed_on_error,
)
from gptkit.recipes.start import plugin_sources
from gptkit.recipes.words import complete_words, last_words, opening_words
from gptkit.recipes.writing import check_prompt
from gptkit.runs import hold_run
from gptkit.runtime.choose import Workload
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.launch import Place
from gptkit.runtime.runtime import Runtime
from gptkit.training.loop import Beside, Outcome
from gptkit.training.loop import train as run_loop
from gptkit.training.pace import Pace
from gptkit.training.step import micro_batch_indices


@dataclass(frozen=True)
class Session:
    """What one start of a run works with."""

    config: RunConfig
    """Without any `auto`."""
    name: str
    again: str | None
    """The config as the user named it; None where it takes more than that to get the same settings."""
    plugins: dict[str, str]
    held_folder: Path | None
    """The run that is resumed, whose lock this process holds; None: a folder is still to be made."""
    dataset: Dataset
    parts: Parts
    runtime: Runtime
    interrupt: Interrupt
    journal: Journal


def train(
    config: RunConfig, *, name: str, folder: Path, resume: str | None, again: str | None = None
) -> Run | None:
    """Train a config to its end and return what came of it; None on the ranks that leave saving to rank 0.

    name: of the run folder, where the config does not say; folder: where its plugins are; again: the config as the
    user named it, if that says all.

    Raises: GptkitError; Interrupted, after saving, when a signal came.
    """
    place = Place.from_environment()
    journal = Journal(speaks=place.rank == 0)
    with ExitStack() as held, Interrupt() as interrupt:
        target = find_target(resume, config, name)
        resumed = None
        if target is not None:
            if place.rank == 0:
                held.enter_context(hold_run(target.run_dir, warn=journal.say))
            resumed = read_target(target, folder, is_main=place.rank == 0, say=journal.say)
            config = config.model_copy(update={"run_dir": target.run_dir})
        if resumed is not None:
            config = adopt(config, resumed, place.world_size)
        with Runtime.start(config.runtime, _workload(config)) as runtime:
            config = _resolved(config, runtime)
            changed = changes(config, resumed) if resumed is not None else []
            with removed_on_error(prepared_path(config.data)):
                dataset = _prepare(config, runtime, interrupt)
                check_prompt(config.training.sample_prompt, dataset.tokenizer)
                if resumed is not None:
                    check_data_identity(dataset.identity, resumed.checkpoint)
                parts = build_parts(config, dataset, runtime, resumed)
            session = Session(
                config=config,
                name=name,
                again=again,
                plugins=plugin_sources(config, folder),
                held_folder=target.run_dir if target is not None else None,
                dataset=dataset,
                parts=parts,
                runtime=runtime,
                interrupt=interrupt,
                journal=journal,
            )
            if resumed is not None and _is_complete(parts, resumed):
                journal.say(complete_words(resumed.run_dir, parts, again))
                run_dir: Path | None = resumed.run_dir
            else:
                run_dir = _train_in_folder(session, changed)
    journal.close()
    return load_run(run_dir, device=runtime.device.type, dtype="float32") if run_dir else None


def _resolved(config: RunConfig, runtime: Runtime) -> RunConfig:
    return config.model_copy(
        update={
            "runtime": runtime.config,
            "training": config.training.resolved(runtime.world_size),
        }
    )


def _workload(config: RunConfig) -> Workload:
    """Return about how much the run will compute: its vocabulary is not known yet."""
    model, training = config.model, config.training
    per_token = 6 * 12 * model.n_layer * model.n_embd**2
    tokens = training.max_tokens
    if tokens is None and training.max_steps is not None:
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
        min_train_tokens=config.model.context_length + 1,
        progress=TerminalProgress(interrupt),
    )
    if runtime.is_main:
        runtime.barrier()
    return dataset


def _is_complete(parts: Parts, resumed: Resumed) -> bool:
    """Whether the run reached its last step before, and that step was evaluated."""
    rows = read_metrics(resumed.run_dir / METRICS_NAME)
    done = parts.limits.reached(parts.progress) is not None
    evaluated = parts.val_windows is None or (bool(rows) and "val_loss" in rows[-1])
    return done and bool(rows) and rows[-1]["step"] == parts.progress.step and evaluated


def _train_in_folder(session: Session, changed: list[str]) -> Path | None:
    """Train and return the run folder; None on the ranks that do not write.

    Raises: Interrupted when a signal ended the run.
    """
    config, runtime, journal = session.config, session.runtime, session.journal
    rows = config.training.micro_batch_size or 1
    example = torch.zeros((rows, config.model.context_length), dtype=torch.int64)
    replica = runtime.replicate(session.parts.model, example, warn=journal.say)
    config = _resolved(config, runtime)  # the compiler may have failed
    if not runtime.is_main:
        outcome = _loop(session, replica, _silent(session))
        run_dir = None
    else:
        with _held_folder(session) as run_dir:
            journal.say(opening_words(config, session.dataset, session.parts, run_dir, changed))
            journal.say(f"machine  {'; '.join(runtime.reasons)}")
            with open_run_folder(
                run_dir,
                config,
                journal,
                first_step=session.parts.progress.step,
                max_steps=session.parts.limits.max_steps,
            ) as folder:
                evaluator = _evaluator(session, folder.samples)
                beside = _beside(session, config, folder, evaluator)
                outcome = _loop(session, replica, beside)
            journal.say(last_words(run_dir, outcome, session.again))
            if outcome.signal_number is None and evaluator.last_sample:
                print(evaluator.last_sample, flush=True)
    if outcome.signal_number is not None:
        raise Interrupted(outcome.signal_number, _stopped_words(outcome))
    return run_dir


def _held_folder(session: Session) -> AbstractContextManager[Path]:
    if session.held_folder is not None:
        return nullcontext(session.held_folder)
    return claim(session.config, session.name, session.journal)


def _loop(session: Session, replica: nn.Module, beside: Beside) -> Outcome:
    config, parts, runtime = session.config, session.parts, session.runtime
    peak = runtime.peak_flops()
    indices = micro_batch_indices(
        parts.progress.step,
        accumulation=config.training.accumulation(runtime.world_size),
        runtime=runtime,
    )
    with Feeder(parts.windows, indices, runtime.device) as batches:
        return run_loop(
            replica,
            batches,
            optimizer=parts.optimizer,
            schedule=config.schedule,  # type: ignore[arg-type]
            config=config.training,
            limits=parts.limits,
            progress=parts.progress,
            runtime=runtime,
            beside=beside,
            interrupt=session.interrupt,
            pace=Pace(
                elapsed_before=parts.elapsed_before,
                flops_per_token=parts.model.flops_per_token(),
                peak_flops=None if peak is None else peak * runtime.world_size,
            ),
        )


def _beside(session: Session, config: RunConfig, folder: RunFolder, evaluator: Evaluator) -> Beside:
    parts = session.parts
    saver = Saver(
        run_dir=folder.path,
        model=parts.model,
        optimizer=parts.optimizer,
        runtime=session.runtime,
        contents=Contents(
            config=dump_config(config),
            tokenizer=session.dataset.tokenizer,
            weights={},
            state={
                "data_identity": session.dataset.identity,
                "world_size": session.runtime.world_size,
            },
            plugins=session.plugins,
        ),
        keep=config.training.keep_checkpoints,
        is_last=lambda progress: parts.limits.reached(progress) is not None,
        journal=session.journal,
    )
    return Beside(
        evaluate=evaluator.evaluate,
        save=saver.save,
        mark_best=saver.mark_best,
        log=folder.metrics.log,
    )


def _evaluator(session: Session, samples_dir: Path | None) -> Evaluator:
    return Evaluator(
        model=session.parts.model,
        dataset=session.dataset,
        windows=session.parts.val_windows,
        runtime=session.runtime,
        interrupt=session.interrupt,
        config=session.config.training,
        samples_dir=samples_dir,
        progress=session.parts.progress,
        journal=session.journal,
    )


def _silent(session: Session) -> Beside:
    """What the other ranks do beside the steps: their share of each evaluation."""

    def nothing(*args: object) -> None:
        raise AssertionError("only rank 0 writes")

    return Beside(
        evaluate=_evaluator(session, None).evaluate, save=nothing, mark_best=nothing, log=nothing
    )


def _stopped_words(outcome: Outcome) -> str:
    assert outcome.signal_number is not None
    base = str(Interrupted(outcome.signal_number))
    return f"{base} after step {outcome.progress.step}, which is saved; --resume auto goes on"
