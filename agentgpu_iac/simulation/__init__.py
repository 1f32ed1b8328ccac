"""The planned fleet under traffic: what its users would see, request by request. Chance comes from a seed alone."""
