"""Settings: ``base`` holds what all share; ``embedded``, ``production`` and ``test`` finish it."""
