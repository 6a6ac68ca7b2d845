"""One start of a run, from its parts to its end: the run folder, the loop, and what happens beside the steps."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from gptkit.checkpoint.store import Contents
from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.errors import Interrupted
from gptkit.recipes.journal import Journal
from gptkit.recipes.train.beside import Evaluator, Saver
from gptkit.recipes.train.parts import Parts
from gptkit.recipes.train.run_folder import RunFolder, claim, open_run_folder
from gptkit.recipes.train.words import last_words, opening_words, system_words
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.runtime import Runtime
from gptkit.training.config import TrainingConfig
from gptkit.training.feed import Feed
from gptkit.training.loop import Beside, Outcome
from gptkit.training.loop import train as run_loop
from gptkit.training.objective_config import OBJECTIVES
from gptkit.training.pace import Pace
from gptkit.training.progress import Progress
from gptkit.training.spikes import SpikeWatch


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

    def is_last(self, progress: Progress) -> bool:
        """Whether the run ends with this step."""
        return self.parts.limits.reached(progress) is not None


def run_session(session: Session, changed: list[str]) -> Path | None:
    """Train and return the run folder; None on the ranks that do not write.

    Raises: Interrupted when a signal ended the run.
    """
    config, runtime, journal = session.config, session.runtime, session.journal
    first = session.parts.batches.training.batch(0)
    with session.interrupt.at_once():  # a compiler takes long and asks for nothing
        objective = OBJECTIVES.build(config.objective, session.parts.model)
        replica = runtime.replicate(
            objective, first.tokens, inputs=first.inputs(), warn=journal.say
        )
    config = resolved(config, runtime)  # the compiler may have failed
    if not runtime.is_main:
        outcome = _loop(session, replica, _silent(session))
        run_dir = None
    else:
        with _held_folder(session) as run_dir:
            journal.say(opening_words(config, session.dataset, session.parts, run_dir, changed))
            journal.say(f"machine  {'; '.join(runtime.reasons)}")
            journal.note(f"system   {system_words()}")
            with open_run_folder(
                run_dir,
                config,
                session.plugins,
                journal,
                first_step=session.parts.progress.step,
                max_steps=session.parts.limits.max_steps,
                seconds=session.parts.limits.seconds_left(session.parts.progress),
            ) as folder:
                evaluator = _evaluator(session, folder.samples)
                with closing(_saver(session, config, run_dir)) as saver:
                    beside = _beside(saver, evaluator, folder, journal)
                    outcome = _loop(session, replica, beside)
                    saver.finish(complete=outcome.signal_number is None)
            journal.say(
                last_words(
                    run_dir,
                    outcome,
                    session.again,
                    plugins=bool(session.plugins),
                    is_chat=session.dataset.is_chat,
                )
            )
            if outcome.signal_number is None:
                # Here and not at the top: a start does not wait for what only an end needs.
                from gptkit.recipes.report.report import report_of_finished_run

                flops = session.parts.model.flops_per_token()
                journal.say(report_of_finished_run(run_dir, session.dataset, flops))
                if evaluator.last_sample:
                    print(evaluator.last_sample, flush=True)
    if outcome.signal_number is not None:
        stopped = Interrupted(outcome.signal_number, _stopped_words(outcome))
        if not runtime.is_main:
            raise SystemExit(stopped.exit_code)  # rank 0 says it
        raise stopped
    return run_dir


def _held_folder(session: Session) -> AbstractContextManager[Path]:
    if session.held_folder is not None:
        return nullcontext(session.held_folder)
    return claim(session.config, session.name, session.journal)


def _loop(session: Session, replica: nn.Module, beside: Beside) -> Outcome:
    config, parts, runtime = session.config, session.parts, session.runtime
    peak = runtime.peak_flops()
    with Feed(parts.batches.training, runtime) as feed:
        return run_loop(
            replica,
            feed,
            state=parts.state,
            schedule=config.schedule,  # type: ignore[arg-type]
            config=config.training,
            limits=parts.limits,
            progress=parts.progress,
            runtime=runtime,
            spikes=SpikeWatch(
                config.training.spike_threshold,
                vocab_size=session.dataset.tokenizer.vocab_size,
                device=runtime.device,
            ),
            beside=beside,
            interrupt=session.interrupt,
            pace=Pace(
                elapsed_before=parts.elapsed_before,
                flops_per_token=parts.model.flops_per_token(),
                peak_flops=None if peak is None else peak * runtime.world_size,
            ),
            good=parts.good,
        )


def _saver(session: Session, config: RunConfig, run_dir: Path) -> Saver:
    return Saver(
        run_dir=run_dir,
        config=config,
        contents=Contents(
            config="",
            tokenizer=session.dataset.tokenizer,
            weights={},
            state={
                "data_identity": session.dataset.identity,
                "world_size": session.runtime.world_size,
                **session.parts.origin,
            },
            plugins=session.plugins,
        ),
        journal=session.journal,
    )


def _beside(saver: Saver, evaluator: Evaluator, folder: RunFolder, journal: Journal) -> Beside:
    def go_back(progress: Progress, words: str) -> None:
        saver.go_back(progress, words)
        folder.go_back(progress.step)

    def resize(training: TrainingConfig, words: str) -> None:
        journal.say(words)
        saver.config = saver.config.model_copy(update={"training": training})
        folder.write_config(saver.config)

    return Beside(
        evaluate=evaluator.evaluate,
        save=saver.save,
        mark_best=saver.mark_best,
        log=folder.loggers.log,
        go_back=go_back,
        resize=resize,
    )


def _evaluator(session: Session, samples_dir: Path | None) -> Evaluator:
    return Evaluator(
        model=session.parts.model,
        dataset=session.dataset,
        windows=session.parts.batches.validation,
        runtime=session.runtime,
        interrupt=session.interrupt,
        config=session.config.training,
        objective=session.config.objective,
        samples_dir=samples_dir,
        progress=session.parts.progress,
        is_last=session.is_last,
        journal=session.journal,
    )


def _silent(session: Session) -> Beside:
    """What the other ranks do beside the steps: their share of each evaluation."""

    def nothing(*args: object) -> None:
        raise AssertionError("only rank 0 writes")

    return Beside(
        evaluate=_evaluator(session, None).evaluate,
        save=nothing,
        mark_best=nothing,
        log=nothing,
        go_back=nothing,
        resize=nothing,
    )


def _stopped_words(outcome: Outcome) -> str:
    assert outcome.signal_number is not None
    base = str(Interrupted(outcome.signal_number))
    return f"{base} after step {outcome.progress.step}, which is saved; --resume auto goes on"


def resolved(config: RunConfig, runtime: Runtime) -> RunConfig:
    """Return the settings without any `auto`; plugins by file name, as the run and its checkpoints carry them."""
    return config.model_copy(
        update={
            "plugins": tuple(Path(path.name) for path in config.plugins),
            "runtime": runtime.config,
            "training": config.training.resolved(runtime.world_size),
        }
    )
