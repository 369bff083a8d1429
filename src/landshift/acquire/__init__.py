"""Stage 1: where pixels come from. Search catalogues, adopt folders, simulate, cache, and read one window of one grid."""

__all__: list[str] = []
