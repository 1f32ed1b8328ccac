"""Facts: accelerators, instance types, prices, models and engines, each row with its source."""
