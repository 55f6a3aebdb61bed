"""One description for every key of a recipe, for editors: our own words, or those of the estimator's docstring."""

from __future__ import annotations

import re

from pydantic import BaseModel

from titans_seq.recipes import schema
from titans_seq.recipes._arguments import described
from titans_seq.recipes.dna import schema as dna
from titans_seq.recipes.recall import schema as recall
from titans_seq.recipes.recall import tasks

_FORECASTER = ("estimators/forecaster.py", "TitansForecaster")
_CLASSIFIER = ("estimators/dna_classifier.py", "DNAClassifier")
_MEMORY = ("nn/memory_layer.py", "NeuralMemory")
_BACKBONE = ("nn/backbone.py", "Backbone")
_OP = ("memory/op.py", "neural_memory")
_SYMBOLS = ("adapters/symbols.py", "SymbolModel")
_RECALL_TASKS = "evaluation/recall/tasks.py"

_ARGUMENTS: dict[type[BaseModel], tuple[tuple[str, str], ...]] = {
    schema.Model: (_FORECASTER,),
    schema.Train: (_FORECASTER,),
    dna.RegressModel: (_CLASSIFIER,),
    dna.Train: (_CLASSIFIER,),
    schema.BackboneArguments: (_BACKBONE,),
    recall.BackboneModel: (_BACKBONE, _MEMORY, _OP, _SYMBOLS),
    recall.RecallTrain: (("training/recall.py", "RecallSettings"),),
    tasks.NeedlesTask: ((_RECALL_TASKS, "Needles"),),
    tasks.PairsTask: ((_RECALL_TASKS, "Pairs"),),
    tasks.CopyTask: ((_RECALL_TASKS, "SelectiveCopy"),),
    tasks.HopsTask: ((_RECALL_TASKS, "Hops"),),
    tasks.StateTask: ((_RECALL_TASKS, "StateTracking"),),
    tasks.MotifsTask: (("evaluation/recall/bases.py", "MotifPartners"),),
    tasks.ShapesTask: (("evaluation/recall/shapes.py", "Shapes"),),
}
"""Where the arguments are described that a section states."""

_ELSEWHERE = re.compile(r"(^|\. )As in `|see `NeuralMemory`")
"""What a docstring says of arguments that another one describes."""

_SECTIONS = {
    "schema": "Version of the recipe's form: 1.",
    "task": "What is asked.",
    "data": "Where the data come from, and how they are read and split.",
    "model": "Arguments that shape the network; what is left out keeps its default.",
    "train": "Arguments that rule training; what is left out keeps its default.",
    "evaluate": "How the test rows are scored.",
    "tune": "Values to search over.",
    "output": "Where the run's folder goes.",
}
_SOURCE = {
    "name": "A dataset that has a card, see `titans-seq ls`; or give path.",
    "path": "A file, relative to the working folder; or give name.",
    "id": "Column with the names.",
}
_TEXTS: dict[type[BaseModel], dict[str, str]] = {
    schema.Task: {
        "kind": "forecast: the next rows of series.",
        "horizon": "Rows to forecast.",
    },
    schema.Data: _SOURCE
    | {
        "id": 'Column that names the series of a long table. Default: the card\'s, else "unique_id".',
        "time": 'Column with the times. Default: the card\'s, else "ds".',
        "target": 'Column with the values of a long table. Default: the card\'s, else "y".',
        "format": "wide: a column per series. long: a row per series and time. Default: long where there are ids.",
        "columns": "Series to use, by name: columns of a wide table, ids of a long one. Default: all.",
        "split": "Rows of train, validation and test, from the first row on; later rows are not used.",
        "on_gap": "What to do where rows are missing: refuse, or take them as missing values.",
        "roles": "Columns that are covariates: past (known so far), future (known ahead) or static (constant).",
        "delimiter": "What stands between the columns of a text file. Default: comma; tab in .tsv.",
        "decimal": "Decimal mark of a text file. Default: a point.",
        "thousands": "What groups the digits of large numbers in a text file. Default: nothing.",
        "encoding": "Encoding of a text file. Default: utf-8, with or without a byte order mark.",
        "missing": "Words that stand for a missing value, beside an empty cell, NA, NaN, null and the like.",
        "time_format": "How times are written: a pattern such as %d.%m.%Y, or one of iso, epoch_s, epoch_ms, epoch_us, "
        "epoch_ns, quarter (2024Q1), iso_week (2024-W05). Default: ISO dates, or plain integers.",
        "timezone": "Times with a UTC offset are turned into the clock of this zone. Default: UTC.",
        "sort": "Sort the rows of the file by time first. Default: they stay where they are; rows of a series may "
        "stand in any order.",
        "align": "Of series of different lengths. time: all cover the same time, with missing rows where one has none. "
        "end: of each the last rows, as many as the shortest has. Default: all must have the rows of split.",
    },
    schema.Evaluate: {
        "mode": "windowed: a fresh state for each window. streaming: the state is carried from row to row.",
        "stride": "A window begins every so many rows. Default: 1; in streaming mode the patch length.",
        "scale": "Unit of errors: the data's own, or standard deviations of each series' train rows.",
        "metrics": "Scores to report.",
        "baselines": "Forecasts to compare with.",
        "season_length": "Rows of a season, for the seasonal naive forecast, mase and msis. Default: by frequency.",
        "level": "Prediction intervals, in percent.",
        "seeds": "Seeds with each of which a model is trained; the first is saved. Default: train.random_state alone.",
    },
    schema.Tune: {
        "trials": "How many settings are tried; pruned ones count, failed ones do not.",
        "space": "By key a list of values, model.d_model: [16, 32], or a range, {low: 1e-4, high: 1e-2, log: true}.",
        "objectives": "What is to be small; the first one decides. Several: none dominates those that are shown.",
        "pruner": "Ends trials that fall behind early. Default: median; none where there are several objectives.",
        "storage": "A journal file, or the URL of a database. Default: a journal in the folder of the study.",
        "minutes": "Minutes after which no trial begins. Default: no limit.",
    },
    schema.Output: {"dir": "Folder of the run. Default: runs/<name of the recipe>."},
    dna.ClassifyTask: {"kind": "classify: the class of each sequence."},
    dna.RegressTask: {"kind": "regress: a number for each sequence."},
    dna.Data: _SOURCE
    | {
        "path": "A table (.csv, .tsv or .data, each also gzipped), relative to the working folder.",
        "simulated": "Sequences made for the purpose; or give another source.",
        "sha256": "Checksum of the uncompressed content of a dataset whose card has none.",
        "sequence": "Column with the sequences. Default: the card's, else sequence or seq.",
        "split": "Which sequences are trained on and which are tested.",
        "delimiter": "What stands between the columns of the file. Default: comma; tab in .tsv.",
        "label": "Column with the classes. Default: the card's, else label.",
        "classes": "A file (FASTA and others) for each class.",
        "target": "Column with the numbers. Default: the card's, else target.",
    },
    dna.RegressModel: {
        "soft_mask": "Lower-case letters: kept as a flag of the base, folded into upper case, or masked."
    },
    dna.Split: {
        "by": "How to split. Default: by column where one is named, else by homology.",
        "column": "Column that says which part a row belongs to, or its chromosome.",
        "train": "Names in the column that are trained on. Default: train.",
        "test": "Share of the sequences, or names in the column, that are tested.",
        "seed": "Of what is drawn.",
        "k": "By homology: length of the words that are compared.",
        "threshold": "By homology: share of common words from which two sequences count as related.",
    },
    dna.Simulated: {
        "name": "Which sequences.",
        "n": "How many.",
        "length": "Bases of each.",
        "seed": "Of what is drawn.",
    },
    dna.Evaluate: {
        "metrics": "Scores to report.",
        "baselines": "Estimators to compare with.",
        "kmer_length": "Bases of the k-mers that baselines count.",
        "kmer_strands": "Whether baselines count the strand that is given, or both.",
        "seeds": "Seeds with each of which a model is trained; the first is saved. Default: train.random_state alone.",
        "positive": "Of two classes, the one that precision and recall are about.",
    },
    tasks.RecallTask: {
        "kind": "recall: what was read long before.",
        "name": "Which task.",
        "haystack": "What stands between: random symbols, or a phrase over and over.",
    },
    recall.Genome: {
        "name": "A genome that has a card, see `titans-seq ls`.",
        "train_fraction": "First part of the genome, for training; the rest is for the test.",
    },
    recall.RecallTrain: {
        "curriculum": "A list of [length of the streams, optimiser steps].",
        "random_state": "Seed of the initial weights and of all streams.",
    },
    recall.NeedlesTrain: {"n_needles": "At most so many needles in training. Default: as many as in the test."},
    recall.PairsTrain: {"n_pairs": "At most so many pairs in training. Default: as many as in the test."},
    recall.CopyTrain: {"n_symbols": "At most so many symbols in training. Default: as many as in the test."},
    recall.HopsTrain: {"n_hops": "Chains of at most so many facts in training. Default: as many as in the test."},
    recall.StateTrain: {"n_steps": "At most so many steps in training. Default: as many as in the test."},
    recall.MotifsTrain: {"n_motifs": "At most so many motifs in training. Default: as many as in the test."},
    recall.ShapesTrain: {"n_shapes": "At most so many shapes in training. Default: as many as in the test."},
    recall.Length: {"length": "Tokens of each stream.", "trials": "How many streams."},
    recall.RecallEvaluate: {
        "lengths": "At which lengths the model is asked, and how many streams of each.",
        "controls": "Variants trained in the same way and scored on the same streams.",
        "control_max_length": "Longest streams of the controls. Default: no limit; for attention 4,096.",
        "batch_size": "Streams read side by side.",
        "piece_length": "Tokens read at a time.",
    },
}


def description(section: type[BaseModel], key: str) -> str | None:
    """Return what a key of a section means; None where nobody says so."""
    for kind in section.__mro__:
        found = _TEXTS.get(kind, {}).get(key) or _from_docstrings(kind, key)
        if found:
            return found
    return _SECTIONS.get(key)


def _from_docstrings(kind: type, key: str) -> str | None:
    texts = (described(*where).get(key, "") for where in _ARGUMENTS.get(kind, ()))
    return next((text for text in texts if text and not _ELSEWHERE.search(text)), None)
