"""gptkit plan."""

from __future__ import annotations

from gptkit.cli.options import Config, Json, Settings


def plan(config: Config, settings: Settings = None, json: Json = False) -> None:
    """Say what a run will take, memory, time, FLOPs, and what would make it better, before it is begun."""
    from gptkit.recipes.plan import words as recipe

    recipe.run(config, settings or [], as_json=json)
