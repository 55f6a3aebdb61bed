"""The tables; a cell that has not run is a gap."""

from __future__ import annotations

from typing import Any

Parts = dict[str, dict[str, Any]]


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({_short(str(p["environment"]["commit"])) for p in parts.values()})
    lines = [
        "# Long DNA", "",
        "Written by `python benchmarks/long_dna.py`; one JSON per cell in `long_dna/`. One thread on a CPU; memory is "
        "the peak of the process up to then (PyTorch, the genome and training included).",
        f"Commits: {', '.join(commits) or 'none'}.", "",
        "## Trained on windows of 32,768 bases, asked about more", "",
        *_whole(parts.get("whole")), "",
        "## A scan of E. coli W for promoters, into BED", "",
        *_scan(parts.get("scan")), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _short(commit: str) -> str:
    return commit[:12] + "-dirty" * commit.endswith("-dirty")


def _whole(part: dict[str, Any] | None) -> list[str]:
    if part is None:
        return ["not run"]
    r = part["results"]
    said = (
        f"`DNAClassifier(stride={r['stride']}, kmers=False)` on {r['rows']} windows of E. coli and of yeast chromosome "
        f"II: {r['fit_cpu_seconds']:.0f} CPU s, {r['peak_megabytes_of_fit']:,.0f} MB. Then the beginning of E. coli, "
        "which it was not trained on:"
    )
    rows = [
        f"| {x['bases']:,} | {x['cpu_seconds']:.1f} | {x['peak_megabytes']:,.0f} | {x['probability']:.4f} |"
        for x in r["lengths"]
    ]
    changed = [f"| {x['place']:,} | {x['answer']:.1e} | {x['pooled']:.1e} |" for x in r["changes"]]
    return [
        said, "", "| bases | CPU s | peak, MB | probability of E. coli |", "|--:|--:|--:|--:|", *rows, "",
        f"One base of the first {r['lengths'][1]['bases']:,} changed (double precision): what changes.", "",
        "| place | logits | pooled representation |", "|--:|--:|--:|", *changed,
    ]  # fmt: skip


def _scan(part: dict[str, Any] | None) -> list[str]:
    if part is None:
        return ["not run"]
    r = part["results"]
    rows = [
        f"| {x['bases']:,} | {x['windows']:,} | {x['cpu_seconds']:.0f} | {x['peak_megabytes']:,.0f} |"
        for x in r["lengths"]
    ]
    return [
        f"Windows of {r['window']} bases every {r['step']}; {r['peak_megabytes_of_fit']:,.0f} MB before, of training.",
        "", "| bases | windows | CPU s | peak, MB |", "|--:|--:|--:|--:|", *rows,
    ]  # fmt: skip
