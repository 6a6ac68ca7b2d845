"""gptkit report: from a run folder to one file.

run folder -> facts -> baselines, or a whole evaluation -> verdict -> sections -> report.html
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gptkit.atomic import write_text
from gptkit.checkpoint import pointed
from gptkit.data.dataset import Dataset
from gptkit.errors import ConfigError
from gptkit.insight.baselines import Baseline
from gptkit.insight.memorisation import Copies
from gptkit.pages import page
from gptkit.recipes.evaluate import Examination
from gptkit.recipes.journal import say
from gptkit.recipes.report import measured, samples, sections
from gptkit.recipes.report.facts import RunFacts, gather
from gptkit.recipes.report.measure import QUICK_SEARCH_TOKENS, copies, examination, quick_baselines
from gptkit.recipes.report.verdict import Evidence, Verdict, judge
from gptkit.recipes.report.verdict_of_pairs import judge_pairs
from gptkit.runs import resolve, run_of


def run(
    path: Path | None,
    *,
    format: str,
    checkpoint: str | None,
    as_json: bool,
    allow_plugins: bool = False,
) -> None:
    """Write the report of a run beside its files and print where it is, with the verdict.

    Raises: ConfigError, CheckpointError.
    """
    if format not in ("html", "png", "svg"):
        raise ConfigError(f"--format {format}: must be html, png or svg")
    folder = resolve(path, checkpoint, say=say)
    facts = gather(folder)
    say(f"{run_of(folder) or folder}, step {facts.step}")
    found = examination(facts, folder, allow_plugins=allow_plugins, note=say)
    report = Report.of(facts, found, copies(facts))
    target = _target(folder, format)
    try:
        if format == "html":
            write_text(target, report.html())
        else:
            from gptkit.recipes.report.figure import save_figure

            save_figure(target, facts, report.losses)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror or error}") from None
    if as_json:
        print(json.dumps({"report": str(target), **report.to_json()}, ensure_ascii=False))
    else:
        print(target)
        print(report.verdict.sentence)
        if report.copied is not None:
            print(samples.in_words(report.copied))


def report_of_finished_run(run_dir: Path, dataset: Dataset, flops_per_token: int) -> str:
    """Write the report of a run that has just ended and return the verdict and the place, in words.

    Whatever goes wrong here is said and no more: the run itself is safe.
    """
    try:
        checkpoint = pointed(run_dir, "best") or pointed(run_dir, "last")
        if checkpoint is None:
            return "report   none: there is no checkpoint"
        facts = gather(checkpoint, dataset, flops_per_token)
        report = Report.of(facts, None, copies(facts, QUICK_SEARCH_TOKENS))
        target = _target(checkpoint, "html")
        write_text(target, report.html())
    except Exception as error:
        return f"report   none: {type(error).__name__}: {error}"
    return f"verdict  {report.verdict.sentence}\nreport   {target}"


@dataclass(frozen=True)
class Report:
    """A run, what was measured, and what follows."""

    facts: RunFacts
    baselines: tuple[Baseline, ...]
    verdict: Verdict
    examination: Examination | None
    """None at the end of a run, which does not wait for it."""
    copied: Copies | None
    """Of the last sample; None where it was not looked for."""

    @classmethod
    def of(cls, facts: RunFacts, found: Examination | None, copied: Copies | None) -> Report:
        """Return the report of a run; without an evaluation its baselines are quick ones."""
        baselines = quick_baselines(facts) if found is None else found.baselines
        losses = {baseline.name: baseline.loss for baseline in baselines}
        train, val = facts.curve("train_loss"), facts.curve("val_loss")
        if facts.of_pairs:
            verdict = judge_pairs(train, val, facts.at_checkpoint.get("val_accuracy"))
        else:
            verdict = judge(Evidence(train, val, facts.vocab_size, losses))
        return cls(facts, baselines, verdict, found, copied)

    @property
    def losses(self) -> dict[str, float]:
        """The baselines, nats per token by name."""
        return {baseline.name: baseline.loss for baseline in self.baselines}

    @property
    def loss(self) -> float | None:
        """The model's validation loss at the checkpoint's step."""
        value = self.facts.at_checkpoint.get("val_loss")
        return self.examination.loss if self.examination else value

    @property
    def bits_per_byte(self) -> float | None:
        """The model's, there too."""
        value = self.facts.at_checkpoint.get("val_bits_per_byte")
        return self.examination.bits_per_byte if self.examination else value

    def html(self) -> str:
        """Return the whole page."""
        facts, found = self.facts, self.examination
        return page(
            f"{facts.name}: gptkit report",
            *sections.all_of(
                sections.header(facts),
                sections.verdict_box(self.verdict),
                sections.key_figures(facts),
                sections.curves(facts, self.losses),
                sections.evaluations(facts),
                None
                if facts.of_pairs
                else measured.beside_baselines(
                    self.baselines, self.loss, self.bits_per_byte, whole=found is not None
                ),
                measured.by_context(found),
                measured.confidence(found),
                measured.ends(found),
                samples.memorisation(facts, self.copied),
                samples.through_time(facts, self.copied),
                sections.data(facts),
                sections.cost(facts),
                sections.settings(facts),
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the verdict and its numbers as plain values."""
        return {
            "run": self.facts.name,
            "step": self.facts.step,
            "verdict": self.verdict.name,
            "because": self.verdict.because,
            "advice": list(self.verdict.advice),
            "val_loss": self.loss,
            "baselines": self.losses,
            "copied": None if self.copied is None else _copies_as_json(self.copied),
        }


def _copies_as_json(copied: Copies) -> dict[str, Any]:
    longest = None if copied.longest is None else asdict(copied.longest)
    return {"share": copied.share, "longest": longest}


def _target(checkpoint: Path, suffix: str) -> Path:
    run_dir = run_of(checkpoint)
    if run_dir is not None:
        return run_dir / f"report.{suffix}"
    # Nothing is ever written into a checkpoint folder.
    alone = checkpoint.absolute()
    return alone.with_name(f"{alone.name}-report.{suffix}")
