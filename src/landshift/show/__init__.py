"""Let people see it: figures, previews, the report and the dashboard. Nothing is computed here."""

__all__: list[str] = []
