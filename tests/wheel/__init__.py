"""What a reader types, from the built wheel in an empty folder: ``make pages``."""
