"""gptkit report: one page that says how a run went."""
