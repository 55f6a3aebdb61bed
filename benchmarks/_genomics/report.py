"""The tables; a cell that has not run is a gap."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any

from .cells import NETWORKS, SEEDS, Cell, baselines_of
from .sets import NEEDLE, SETS

Parts = dict[str, dict[str, Any]]
NAMES = {
    "ours": "ours",
    "network": "one network alone",
    "attention": "the same, `variant='attention'`",
    "swa": "the same, `variant='swa'`",
    "cnn": "CNN",
    "majority": "majority",
    "one_hot": "one-hot, linear",
    "kmer_4_hgb": "4-mers, trees",
    "one_hot_hgb": "one-hot, trees",
} | {f"kmer_{k}": f"{k}-mers, linear" for k in (4, 5, 6)}
SCORES = {
    "accuracy": "accuracy", "mcc": "MCC", "auroc": "AUROC", "log_loss": "log loss", "pearson": "Pearson",
    "spearman": "Spearman", "mse": "MSE",
}  # fmt: skip
OF_CLASSES, OF_NUMBERS = ("accuracy", "mcc", "auroc", "log_loss"), ("pearson", "spearman", "mse")
TITLE = """\
# Labelled DNA

Written by `python benchmarks/genomics.py`; one JSON per cell in `genomics/`, one process and one thread each, on the
CPU. Networks: mean ± standard deviation over seeds. `ours` is `DNAClassifier` (`DNARegressor` for numbers) as it comes:
networks with a memory, three of them where the set is small, and beside each a linear model of k-mers that counts as
much as validation rows say; the column *k-mers* is how much that is. One network alone: `kmers=False, n_members=1`, so
that it can be seen what the memory is worth: `attention` and `swa` are that network without a memory and wide enough to
have as many parameters, within 2 %. The CNN is one network of 0.11 or 0.12 million parameters, that of two forms (one
keeps places apart, one pools) which validation prefers; its probabilities are not calibrated.

- Every set comes with its split into train and test rows. What is chosen is chosen on 15 % of the train rows (4,096 at
  most); test rows are read once, for the score, every one of them, and their count is asserted.
- AUROC of three classes: mean of each against the rest. Log loss in nats.
- Baselines have one fixed setting each and draw nothing: logistic regression and ridge on counts of k-mers or on which
  base stands where (one-hot; sequences of one length only), and 60 rounds of gradient-boosted trees.
  Best baseline: on the test rows, in its favour. Majority: of the train rows.
- Goal: what the project wants `ours` to reach. Met or missed: the mean over all seeds, not rounded.
"""


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({_commit(str(p["environment"]["commit"])) for p in parts.values()})
    machines = sorted({_machine(p["environment"]) for p in parts.values()})
    lines = [TITLE, f"Commits: {', '.join(commits) or 'none'}. Machines: {'; '.join(machines) or 'none'}."]
    lines += ["", "## Goals", "", *_goals(parts), "", "## What leaks from train to test", "", *_leaks(parts)]
    lines += ["", f"## {NEEDLE}: one base decides", "", *_needle(parts)]
    for data, about in SETS.items():
        lines += ["", f"## {data}: {about.about}", "", *_models(data, parts)]
    return "\n".join(lines) + "\n"


def _commit(name: str) -> str:
    return name[:12] + "-dirty" * name.endswith("-dirty")


def _machine(environment: dict[str, Any]) -> str:
    torch = environment.get("packages", {}).get("torch")
    return f"{environment.get('processor')}, {environment.get('cores')} cores, torch {torch}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]], *, left: int = 1) -> list[str]:
    """Markdown; the first columns to the left."""
    names = list(header)
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * left + "--:|" * (len(names) - left)]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def results(parts: Parts, data: str, model: str) -> list[dict[str, Any]]:
    """Of every seed there is; of a baseline the one there is."""
    if model in NETWORKS:
        names = [Cell(data, "network", model, seed).name for seed in SEEDS]
    else:
        names = [Cell(data, "baseline", model).name]
    return [parts[name]["results"] for name in names if name in parts]


def entry(found: list[dict[str, Any]], score: str) -> str:
    """Mean and spread."""
    values = [r["scores"][score] for r in found if score in r["scores"]]
    if not values:
        return "-" if found else "not run"
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


def _goals(parts: Parts) -> list[str]:
    rows = [
        [data, SCORES[score], f"{goal:.3f}", *_against(parts, data, score, goal), _best(parts, data, score)]
        for data, about in SETS.items()
        for score, goal in about.goals.items()
    ]
    others = [NAMES[name] for name in NETWORKS if name != "ours"]
    head = ("set", "score", "goal", "ours", "", *others, "best baseline")
    return table(head, rows, left=2)


def _against(parts: Parts, data: str, score: str, goal: float) -> list[str]:
    """Ours, whether it meets the goal, and the other networks."""
    found = {model: results(parts, data, model) for model in NETWORKS}
    line = [entry(r, score) + _missing(r) for r in found.values()]
    values = [r["scores"].get(score, float("-inf")) for r in found["ours"]]
    verdict = "" if len(values) < len(SEEDS) else "met" if mean(values) >= goal else "missed"
    return [line[0], verdict, *line[1:]]


def _missing(found: list[dict[str, Any]]) -> str:
    return f" ({len(found)} of {len(SEEDS)} seeds)" if 0 < len(found) < len(SEEDS) else ""


def _best(parts: Parts, data: str, score: str) -> str:
    """The best of the baselines, on the test rows: in their favour."""
    models = baselines_of(data)
    there = {m: r[0]["scores"].get(score) for m in models if (r := results(parts, data, m))}
    known = {model: value for model, value in there.items() if value is not None}
    if not known:
        return "not run"
    best = max(known, key=known.__getitem__)
    note = f", {len(there)} of {len(models)} run" if len(there) < len(models) else ""
    return f"{known[best]:.4f} ({NAMES[best]}{note})"


def _leaks(parts: Parts) -> list[str]:
    rows = []
    for data, about in SETS.items():
        sizes = [f"{about.train:,}", f"{about.test:,}"]
        part = parts.get(Cell(data, "leaks").name)
        if part is None:
            rows.append([data, *sizes, "not run", "", "", ""])
            continue
        r = part["results"]
        rows.append([data, *sizes, *(f"{r[kind]:,}" for kind in ("exact", "reverse_complement", "near", "covered"))])
    head = ("set", "train", "test", "exact copies", "reverse complements", "near copies", "covered")
    note = (
        "Test sequences. Near: half of the 16-mers, on either strand, in one train sequence; covered: somewhere in the "
        "train sequences, copies among them. The splits are those that came with the sets."
    )
    return [note, "", *table(head, rows)]


def _models(data: str, parts: Parts) -> list[str]:
    shown = OF_NUMBERS if SETS[data].is_regression else OF_CLASSES
    goals = SETS[data].goals
    rows = [["goal", *(f"{goals[s]:.3f}" if s in goals else "" for s in shown), *[""] * 6]]
    rows += [_row(data, model, shown, parts) for model in (*NETWORKS, *baselines_of(data))]
    head = (
        "model", *(SCORES[s] for s in shown), "k-mers", "seeds", "networks", "parameters", "fit, CPU s",
        "predict, CPU s",
    )  # fmt: skip
    return table(head, rows)


def _row(data: str, model: str, shown: tuple[str, ...], parts: Parts) -> list[str]:
    found = results(parts, data, model)
    if not found:
        return [NAMES[model], "not run", *[""] * (len(shown) + 5)]
    line = [NAMES[model], *(entry(found, score) for score in shown)]
    if model not in NETWORKS:
        return [*line, "", "", "", "", f"{found[0]['fit_and_predict_cpu_seconds']:.1f} (both)", ""]
    seconds = [f"{mean(r[f'{what}_cpu_seconds'] for r in found):.1f}" for what in ("fit", "predict")]
    sizes = [f"{mean(r[what] for r in found):,.0f}" for what in ("networks", "n_parameters")]
    shares = [share for r in found for share in r.get("kmer_share", [])]
    beside = f"{mean(shares):.0%}" if shares else ""
    return [*line, beside, f"{len(found)} of {len(SEEDS)}", *sizes, *seconds]


def _needle(parts: Parts) -> list[str]:
    """Whole genomes that one base tells apart."""
    rows = []
    for seed in SEEDS:
        part = parts.get(Cell(NEEDLE, "needle", seed=seed).name)
        if part is None:
            rows.append([str(seed), "not run", *[""] * 5])
            continue
        r = part["results"]
        first = [_place(a) for a in r["attributions"]]
        change = r["mutagenesis"]
        by_change = (
            "" if change is None else f"{change['first']} ({change['effect']:.2f}, next {change['next_effect']:.2f})"
        )
        shares = f"{mean(r['kmer_share']):.0%}"
        seconds = [f"{r[f'{what}_cpu_seconds']:.0f}" for what in ("fit", "predict")]
        rows.append([str(seed), f"{r['scores']['accuracy']:.4f}", shares, ", ".join(first), by_change, *seconds])
    note = (
        "329 train and 88 test genomes of 30,000 bases, of classes D614 and G614, which A23403G tells apart; C241T, "
        "C3037T and C14408T are linked to it. First: the base with the largest attribution of a whole genome "
        "(integrated gradients), in test genomes of either class, by its place in the reference; and by the largest "
        "effect of a substitution, of all within 500 bases of the site, in one genome."
    )
    head = (
        "seed",
        "accuracy",
        "k-mers",
        "first by attribution",
        "first by substitution",
        "fit, CPU s",
        "predict, CPU s",
    )
    return [note, "", *table(head, rows)]


def _place(found: dict[str, Any]) -> str:
    kind = " (the site)" if found["is_site"] else " (linked)" if found["is_linked"] else ""
    return f"{found['first']}{kind}"
