"""gptkit plan: what a run will be, before it is begun."""
