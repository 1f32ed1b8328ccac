"""Plans made readable: explain and diff."""
