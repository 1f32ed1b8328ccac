"""How what was chosen runs: replicas, routes, scaling, watching, machines, access."""
