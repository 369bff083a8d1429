"""Pure NumPy and Numba mathematics that two stages share: arrays in, arrays out."""
