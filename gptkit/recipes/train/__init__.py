"""gptkit train: from a config to the end of a run."""
