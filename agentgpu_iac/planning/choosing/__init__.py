"""What could serve each agent, on which machines, bought how, and which of it is the cheapest."""
