"""Recipes: YAML files that `synthaug recipes ls` lists and `synthaug fit --recipe NAME` reads.

Each begins with comments: its purpose, its cost, and the command.
"""
