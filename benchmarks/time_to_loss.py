"""Time to a loss: configs/speedrun_char_cpu.yaml beside nanoGPT's CPU recipe, whole processes, in turn.

    git clone https://github.com/karpathy/nanoGPT
    python benchmarks/time_to_loss.py --nanogpt nanoGPT --text tinyshakespeare.txt

Data is prepared beforehand for both; caches of compiled code are empty; both checkpoints are scored by the same code
on the full validation split. Writes time_to_loss.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.page import table, write_page
from common.runs import CPU_RECIPE, Gptkit, NanoGPT, Ran, crossing_step, second_of_step, spread

from gptkit.data.sources.python_stdlib import PythonStdlibConfig
from gptkit.data.utf8 import Utf8Policy

_CONTEXT = 64
_DENSE = 50
_WORDS = """\
nanoGPT's CPU recipe to its end (4 layers, 128 channels, context 64, 12 sequences, 2000 steps) and `{config}`, seeds
{seeds}, in turn, {rounds} rounds, from the start of the process. "Saved": until its last checkpoint is on the disk;
"whole": until the process ends, samples and report included. Losses are nats per character on the whole last tenth of
the text, by the same code for both."""


@dataclass(frozen=True)
class Race:
    """What the rounds on a text found."""

    nanogpt: Sequence[Ran]
    """Of each round."""
    gptkit: Mapping[int, Sequence[Ran]]
    """Of each round, by seed."""
    nanogpt_loss: float
    losses: Mapping[int, float]
    """By seed."""
    target: float
    crossing: int | None
    """The step at which nanoGPT's own validation loss first reached the target; None: it did not."""

    def ratios(self, what: str) -> list[float]:
        """Return for each round nanoGPT's seconds over the median of gptkit's; what: seconds or saved."""
        return [
            getattr(theirs, what)
            / statistics.median(getattr(runs[i], what) for runs in self.gptkit.values())
            for i, theirs in enumerate(self.nanogpt)
        ]


def main() -> None:
    """Run both texts and write the page."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        second = options.second_text or _standard_library(Path(folder) / "stdlib.txt")
        texts = [
            ("Tiny Shakespeare", options.text, options.target),
            ("A second text", second, None),
        ]
        seeds = ", ".join(map(str, options.seeds))
        words = _WORDS.format(config=options.config, seeds=seeds, rounds=options.rounds)
        parts = [words]
        for title, path, target in texts[: 1 if options.one_text else 2]:
            race = _race(path, target, Path(folder), options)
            text = path.read_text(encoding="utf-8")
            size = f"{len(text):,} characters, {len(set(text))} distinct"
            parts += [f"## {title}: {size}", *_report(race)]
    write_page(options.out, "Time to a loss", parts)


def _race(path: Path, target: float | None, folder: Path, options: argparse.Namespace) -> Race:
    """Run the rounds; target: None for what nanoGPT reaches at its end."""
    work = folder / path.stem
    work.mkdir()
    text = path.read_text(encoding="utf-8")
    theirs, ours = (
        NanoGPT(options.nanogpt, work / "nanoGPT", path),
        Gptkit(options.config, work, path),
    )
    recipe = CPU_RECIPE
    settings: dict[str, object] = {}
    if options.trial:
        recipe = recipe | {
            "max_iters": 20,
            "lr_decay_iters": 20,
            "eval_interval": 10,
            "warmup_iters": 1,
        }
        settings = {"training.max_steps": 20}
    nanogpt: list[Ran] = []
    gptkit: dict[int, list[Ran]] = {seed: [] for seed in options.seeds}
    for number in range(options.rounds):
        nanogpt.append(_told(f"{path.name}, nanoGPT", theirs.train(**recipe)))
        for seed, runs in gptkit.items():
            ran = ours.train(f"{number}-{seed}", settings | {"training.seed": seed})
            runs.append(_told(f"{path.name}, gptkit, seed {seed}", ran))
    nanogpt_loss = theirs.loss(text, _CONTEXT)
    target = nanogpt_loss if target is None else target
    # Not timed: so many evaluations are no part of the recipe.
    dense = theirs.train(**recipe | {"eval_interval": 5 if options.trial else _DENSE})
    losses = {seed: ours.loss(f"0-{seed}", text) for seed in options.seeds}
    return Race(nanogpt, gptkit, nanogpt_loss, losses, target, crossing_step(dense, target))


def _report(race: Race) -> list[str]:
    """Return the parts of a text's section."""
    rows = [_row("nanoGPT", race.nanogpt, race.nanogpt_loss)]
    rows += [_row(f"gptkit, seed {s}", runs, race.losses[s]) for s, runs in race.gptkit.items()]
    reached = sum(loss <= race.target for loss in race.losses.values())
    words = [
        f"Target {race.target:.4f}: reached by {reached} of {len(race.losses)} seeds.",
        *(
            f"Times faster, {name}: median {statistics.median(ratios):.1f}, of each round"
            f" {', '.join(f'{ratio:.1f}' for ratio in ratios)}."
            for name, ratios in (
                ("saved", race.ratios("saved")),
                ("whole", race.ratios("seconds")),
            )
        ),
        _crossing_words(race),
    ]
    header = ["program", "seconds, saved: median (min, max)", "seconds, whole", "full-split loss"]
    return [table(header, rows), "\n".join(f"- {line}" for line in words)]


def _crossing_words(race: Race) -> str:
    if race.crossing is None:
        return "nanoGPT's own validation loss (20 random batches) did not reach the target."
    seconds = statistics.median(second_of_step(ran, race.crossing) for ran in race.nanogpt)
    ours = statistics.median(ran.saved for runs in race.gptkit.values() for ran in runs)
    return (
        f"nanoGPT's own validation loss (20 random batches, each {_DENSE} steps in a run that does not count) first"
        f" reached the target at step {race.crossing}, which the counted runs passed after {seconds:.1f} s:"
        f" {seconds / ours:.1f} times gptkit's time until it has saved."
    )


def _row(name: str, runs: Sequence[Ran], loss: float) -> list[str]:
    saved, whole = [ran.saved for ran in runs], [ran.seconds for ran in runs]
    return [name, spread(saved), spread(whole), f"{loss:.4f}"]


def _told(name: str, ran: Ran) -> Ran:
    print(
        f"{name}: saved after {ran.saved:.1f} s, ended after {ran.seconds:.1f} s", file=sys.stderr
    )
    return ran


def _standard_library(path: Path) -> Path:
    """Write the functions of Python's standard library, the quickstart's text, to a file."""
    documents = PythonStdlibConfig().documents(Utf8Policy())
    text = "\n".join("".join(document) for document in documents)
    path.write_text(text.replace("\r", ""), encoding="utf-8", newline="\n")
    return path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--text", type=Path, required=True, help="tiny Shakespeare")
    parser.add_argument("--target", type=float, default=1.8857, help="full-split loss on --text")
    parser.add_argument(
        "--second-text", type=Path, help="absent: the standard library, as in the quickstart"
    )
    parser.add_argument("--one-text", action="store_true", help="without the second one")
    parser.add_argument("--config", default="speedrun_char_cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trial", action="store_true", help="20 steps: the numbers mean nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
