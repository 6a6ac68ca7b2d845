"""gptkit eval --tasks: questions of lm-evaluation-harness, answered by a trained model."""
