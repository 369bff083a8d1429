"""The models: one readable file each, its configuration free of torch."""

__all__: list[str] = []
