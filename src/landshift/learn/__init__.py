"""Teach and apply: features, samples, splits, models, training, checkpoints, prediction.

Import from the modules; nothing heavy is loaded here.
"""

__all__: list[str] = []
