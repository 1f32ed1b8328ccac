"""What the user wants: the agent stack, its vocabulary, and the loader that reports every fault with its line."""
