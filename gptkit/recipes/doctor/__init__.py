"""gptkit doctor: what this machine can do, and whether a run resumes exactly on it."""
