"""Does it remember? Streams with something to recall, and how much of it was."""

from titans_seq.evaluation.recall.bases import ALPHABET, UNKNOWN, MotifPartners
from titans_seq.evaluation.recall.score import (
    RecallScore,
    answers,
    count_right,
    recall_error,
    score_recall,
    wilson_interval,
)
from titans_seq.evaluation.recall.shapes import Shapes
from titans_seq.evaluation.recall.tasks import (
    CONTENT,
    N_SYMBOLS,
    Hops,
    Needles,
    Pairs,
    SelectiveCopy,
    StateTracking,
)
from titans_seq.evaluation.recall.trials import SymbolTrials, Task, Trials

__all__ = [
    "ALPHABET",
    "CONTENT",
    "N_SYMBOLS",
    "UNKNOWN",
    "Hops",
    "MotifPartners",
    "Needles",
    "Pairs",
    "RecallScore",
    "SelectiveCopy",
    "Shapes",
    "StateTracking",
    "SymbolTrials",
    "Task",
    "Trials",
    "answers",
    "count_right",
    "recall_error",
    "score_recall",
    "wilson_interval",
]
