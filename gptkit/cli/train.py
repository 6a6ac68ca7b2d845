"""gptkit train."""

from __future__ import annotations

from gptkit.cli.options import Config, Devices, DryRun, ExtendTo, Resume, RunDir, Settings


def train(
    config: Config,
    settings: Settings = None,
    resume: Resume = None,
    run_dir: RunDir = None,
    devices: Devices = 1,
    extend_to: ExtendTo = None,
    dry_run: DryRun = False,
) -> None:
    """Prepare the data if needed, train, evaluate, save, and show samples."""
    from gptkit.recipes.train.start import start

    start(
        config,
        settings or [],
        resume=resume,
        run_dir=run_dir,
        devices=devices,
        extend_to=extend_to,
        dry_run=dry_run,
    )
