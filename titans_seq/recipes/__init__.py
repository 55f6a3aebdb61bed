"""Recipes: whole experiments as YAML. Importing this loads neither torch nor pandas."""

from titans_seq.recipes._output import Run
from titans_seq.recipes._placing import placing
from titans_seq.recipes._yaml import RecipeError
from titans_seq.recipes.dna import ClassifyRecipe, DNARecipe, RegressRecipe
from titans_seq.recipes.load import find_recipe, list_recipes, load_recipe, recipe_title
from titans_seq.recipes.recall import RecallRecipe, load_recall_model
from titans_seq.recipes.report import format_report
from titans_seq.recipes.run import default_folder, run_recipe
from titans_seq.recipes.schema import Recipe

__all__ = [
    "ClassifyRecipe",
    "DNARecipe",
    "RecallRecipe",
    "Recipe",
    "RecipeError",
    "RegressRecipe",
    "Run",
    "default_folder",
    "find_recipe",
    "format_report",
    "list_recipes",
    "load_recall_model",
    "load_recipe",
    "placing",
    "recipe_title",
    "run_recipe",
]
