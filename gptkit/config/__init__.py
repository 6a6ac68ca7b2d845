"""From YAML and `--set` to `RunConfig`."""

from gptkit.config.load import dump_config, load_config
from gptkit.config.overrides import Override, from_mapping, parse_override
from gptkit.config.run import RunConfig
from gptkit.config.shipped import find_config, shipped_configs

__all__ = [
    "Override",
    "RunConfig",
    "dump_config",
    "find_config",
    "from_mapping",
    "load_config",
    "parse_override",
    "shipped_configs",
]
