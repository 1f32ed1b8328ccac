"""A cluster that is there already: the rendered manifests, and nothing else."""
