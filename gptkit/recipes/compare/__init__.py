"""gptkit compare: which of two runs, or recipes, is better, and how sure that is."""
