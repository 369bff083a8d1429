"""What the maps say: transitions and change, zonal statistics, area and accuracy."""

__all__: list[str] = []
