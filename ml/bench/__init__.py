"""Benches that put a figure beside its context: recipes, shortcut baselines, unseen sources.

Each is a list of cells that are computed one after the other and written at once, so that a bench
of hours can be stopped at any time and goes on where it was.
"""
