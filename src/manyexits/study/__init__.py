"""The study as data: configuration, runs, and what every job is told. No torch and no NumPy."""
