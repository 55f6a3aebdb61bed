"""Recipes that ask a model what it remembers. Importing this loads neither torch nor pandas."""

from titans_seq.recipes.recall.model import load_recall_model
from titans_seq.recipes.recall.schema import RecallRecipe

__all__ = ["RecallRecipe", "load_recall_model"]
