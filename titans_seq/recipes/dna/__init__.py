"""Recipes for labelled DNA. Importing this loads neither torch nor pandas."""

from titans_seq.recipes.dna.schema import ClassifyRecipe, DNARecipe, RegressRecipe

__all__ = ["ClassifyRecipe", "DNARecipe", "RegressRecipe"]
