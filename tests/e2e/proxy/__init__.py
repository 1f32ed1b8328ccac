"""LiteLLM as it is rendered, the real one, in front of engines that are not."""
