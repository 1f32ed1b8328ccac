"""What only some targets or stacks need once all else stands: fronts, markets, services, GitOps, quotas."""
