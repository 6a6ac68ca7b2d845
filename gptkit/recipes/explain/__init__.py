"""gptkit explain: a look inside a model while it reads a text."""
