"""Coverage-guided fuzzing of what opens files of others: ``python -m tests.fuzz``."""
