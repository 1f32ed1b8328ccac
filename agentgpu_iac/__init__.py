"""Infrastructure as code for the GPUs behind AI agents: one agent stack in, one plan out."""

__version__ = "0.1.0"
