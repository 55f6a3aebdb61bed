"""Train a classifier of DNA on your own sequences, see what it is worth, and save it.

python dna_classify.py windows.csv                                (columns sequence and label; .tsv and .gz, too)
python dna_classify.py enhancer=enhancers.fa other=background.fa  (a file of sequences for each class)
"""

import argparse

import numpy as np

from titans_seq import DNAClassifier
from titans_seq.data import leak_report, read_classes, read_labelled, split_by_homology
from titans_seq.evaluation import class_scores, kmer_logistic

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data", nargs="+", help="a table, or class=file for each class")
parser.add_argument("--label", default="label", help="column of the classes")
parser.add_argument("--test", type=float, default=0.2, help="share that is tested")
parser.add_argument("--epochs", type=int, help="default: by the number of sequences")
parser.add_argument("--save", default="dna_model", help="folder of the model")
args = parser.parse_args()

by_class = all("=" in name for name in args.data)
data = read_classes(dict(name.split("=", 1) for name in args.data)) if by_class else read_labelled(args.data[0])
labels = data.labels(args.label)
train, test = split_by_homology(
    data.sequences, test_size=args.test, random_state=0
)  # no test sequence is like training
before, asked = data.sequences[train], data.sequences[test]
print(leak_report(before, asked))

model = DNAClassifier(max_epochs=args.epochs, random_state=0).fit(before, labels[train])
said = {"DNAClassifier": model.predict_proba(asked), "5-mers": kmer_logistic(before, labels[train], asked)}
for name, probabilities in said.items():
    scores = class_scores(labels[test], probabilities, np.unique(labels[train]))
    print(f"{name:14}", "  ".join(f"{score} {value:.3f}" for score, value in scores.items()))
model.save(args.save)
print(f"saved; next: titans-seq classify {args.save} more.fasta --output answers.csv")
