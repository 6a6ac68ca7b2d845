"""gptkit sweep: many runs of one config, one table."""
