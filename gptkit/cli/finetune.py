"""gptkit finetune."""

from __future__ import annotations

from gptkit.cli.options import Config, Devices, DryRun, ExtendTo, Resume, RunDir, Settings


def finetune(
    config: Config,
    settings: Settings = None,
    resume: Resume = None,
    run_dir: RunDir = None,
    devices: Devices = 1,
    extend_to: ExtendTo = None,
    dry_run: DryRun = False,
) -> None:
    """Teach a trained model to answer: by conversations, of which it learns the answers, or by pairs of answers."""
    from gptkit.recipes.finetune import check_finetune
    from gptkit.recipes.train.start import start

    start(
        config,
        settings or [],
        resume=resume,
        run_dir=run_dir,
        devices=devices,
        extend_to=extend_to,
        dry_run=dry_run,
        also=check_finetune,
    )
