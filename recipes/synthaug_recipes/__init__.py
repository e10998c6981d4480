"""Recipes: YAML files that `synthaug recipes ls` lists and `synthaug fit --recipe NAME` reads.

Each begins with comment lines: what it is for, what it costs, how to run it.
"""
