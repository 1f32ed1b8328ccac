"""Machines on Spheron's marketplace: its API, the choice among its offers, and one Pulumi resource for each machine."""
