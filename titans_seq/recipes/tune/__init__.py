"""Searching the values of a recipe. Importing this loads neither torch nor Optuna."""

from titans_seq.recipes.tune.output import Tuned, format_tuned
from titans_seq.recipes.tune.run import default_tune_folder, tune_recipe

__all__ = ["Tuned", "default_tune_folder", "format_tuned", "tune_recipe"]
