"""Facts, not code: sensors, indices, catalogues, tables, pages."""
