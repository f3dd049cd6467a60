"""Distributions, divergences, sums along time, and statistics: nothing here knows of agents."""
