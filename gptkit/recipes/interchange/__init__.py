"""gptkit export and import: what other programs read and write, with proof."""
