"""Decisions: which accelerator, how many, bought how, and why not the others."""
