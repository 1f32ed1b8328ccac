"""Clusters that are there: how one is asked. Nothing is ever written."""
