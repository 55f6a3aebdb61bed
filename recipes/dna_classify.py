"""Train a classifier of DNA on your own sequences, see what it is worth, and save it.

python dna_classify.py windows.csv, or with a file for each class: enhancer=enhancers.fa other=background.fa
"""

import argparse
import os

from titans_seq import DNAClassifier
from titans_seq.data import leak_report, read_classes, read_labelled, split_by_homology
from titans_seq.evaluation import class_scores, kmer_logistic

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data", nargs="+", help="a table (.csv, .tsv, .gz) with a column sequence, or class=file of each")
parser.add_argument("--label", default="label", help="column of the classes")
parser.add_argument("--test", type=float, default=0.2, help="share that is tested")
parser.add_argument("--epochs", type=int, help="default: by the number of sequences")
parser.add_argument("--save", default="dna_model", help="folder of the model")
args = parser.parse_args()
try:  # what can be wrong is said before anything is trained
    if os.path.exists(args.save) and sorted(os.listdir(args.save)) != ["model.json", "model.safetensors"]:
        raise FileExistsError(f"{args.save} exists and is not a saved model; name another folder with --save")
    files = dict(name.split("=", 1) for name in args.data if "=" in name)
    if len(args.data) > 1 and len(files) < len(args.data):
        raise ValueError("several files must be class=file, each with a class of its own")
    data = read_classes(files) if files else read_labelled(args.data[0])
    labels = data.labels(args.label)
    train, test = split_by_homology(data.sequences, test_size=args.test, random_state=0)  # none like one of training
    if not (set(labels[test]) <= set(labels[train]) and len(set(labels[test])) > 1):
        raise ValueError(f"{args.label}: two or more classes are needed, each in training and test; not numbers")
except (OSError, TypeError, ValueError) as error:
    parser.exit(2, f"error: {error}\n")
print(leak_report(before := data.sequences[train], asked := data.sequences[test]))
model = DNAClassifier(max_epochs=args.epochs, random_state=0).fit(before, labels[train])
said = {"DNAClassifier": model.predict_proba(asked), "5-mers": kmer_logistic(before, labels[train], asked)}
for name, p in said.items():
    print(f"{name:14}", "  ".join(f"{k} {x:.3f}" for k, x in class_scores(labels[test], p, model.classes_).items()))
model.save(args.save)
print(f"saved; next: titans-seq classify {args.save} more.fasta --output answers.csv")
