"""What the memories of a trained model do: `titans-seq analyze`. Importing this loads neither torch nor pandas."""

from titans_seq.recipes.analysis.asked import Question
from titans_seq.recipes.analysis.report import format_analysis
from titans_seq.recipes.analysis.run import Analysis, analyze_model

__all__ = ["Analysis", "Question", "analyze_model", "format_analysis"]
