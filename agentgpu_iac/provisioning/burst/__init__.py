"""The number of machines beside a cluster follows the load: what is seen, what is wanted, and their Pulumi stack."""
