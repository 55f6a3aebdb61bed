"""What the cells do."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from titans_seq import DNAClassifier
from titans_seq.adapters.dna import DNAExamples
from titans_seq.adapters.long_sequences import read_in_pieces
from titans_seq.data import read_labelled, read_sequences

Result = dict[str, Any]
TRAINED, STRIDE = 32_768, 8
LENGTHS = (131_072, 1_048_576, 4_897_452)
CHANGED = (1_000, 500_000, 1_047_000)
"""Bases of the first 1 Mb that are changed, one at a time."""


def whole(*, quick: bool) -> Result:
    """Tell E. coli from yeast in windows of 32 kb, by the network alone, and ask about ever longer stretches."""
    coli, yeast = _genome("ecoli_W_NC_017664.fasta.gz"), _genome("yeast_chrII.fa.gz")
    size, lengths = (2_048, (4_096, 140_000)) if quick else (TRAINED, LENGTHS)
    windows = [_windows(text, size)[:24] for text in (coli, yeast)]
    y = np.repeat(["E. coli", "yeast"], [len(part) for part in windows])
    model = DNAClassifier(
        stride=STRIDE, n_members=1, max_epochs=1 if quick else 6, kmers=False, reverse_complement=False,
        validation_fraction=0, random_state=0, device="cpu", verbose=0,
    )  # fmt: skip
    began = time.process_time()
    model.fit(windows[0] + windows[1], y)
    result: Result = {
        "trained_on": size, "stride": STRIDE, "rows": len(y), "fit_cpu_seconds": time.process_time() - began,
        "peak_megabytes_of_fit": _peak(), "lengths": [],
    }  # fmt: skip
    for length in lengths:
        cpu = time.process_time()
        probability = float(model.predict_proba([coli[:length]])[0, 0])
        seconds = time.process_time() - cpu
        result["lengths"].append(
            {"bases": length, "cpu_seconds": seconds, "peak_megabytes": _peak(), "probability": probability}
        )
    places = (100, 70_000, 139_000) if quick else CHANGED
    return result | {"changes": _changes(model, coli[: lengths[1]], places)}


def _changes(model: DNAClassifier, text: str, places: tuple[int, ...]) -> list[Result]:
    """Return how much one base in each place changes the answer, and what it is made from, in double precision."""
    network = model._members[0].model.double().eval()
    said, state = _said(network, text)
    found = []
    for place in places:
        other = text[:place] + ("A" if text[place] != "A" else "C") + text[place + 1 :]
        new, after = _said(network, other)
        found.append(
            {"place": place, "answer": float((new - said).abs().max()), "pooled": float((after - state).abs().max())}
        )
    return found


def _said(network: Any, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    from titans_seq.adapters.long_sequences import represent_in_pieces

    batch = DNAExamples(read_sequences([text])).batch(np.zeros(1, dtype=np.int64))
    return read_in_pieces(network, batch), represent_in_pieces(network, batch)


def scan(*, quick: bool) -> Result:
    """Scan the genome of E. coli, and its first quarter, for sigma-70 promoters, into BED files."""
    found = read_labelled(_path("labelled", "ecoli_sigma70_promoters.csv.gz"))
    rows = np.flatnonzero(found.column("split") == "train")[:: 20 if quick else 1]
    model = DNAClassifier(n_members=1, max_epochs=1 if quick else 6, random_state=0, device="cpu", verbose=0)
    model.fit(found.sequences.take(rows), found.labels("label")[rows])
    coli = _genome("ecoli_W_NC_017664.fasta.gz")
    coli = coli[:40_000] if quick else coli
    result: Result = {"window": model.median_length_, "step": 20, "peak_megabytes_of_fit": _peak(), "lengths": []}
    with tempfile.TemporaryDirectory() as folder:
        for length in (len(coli) // 4, len(coli)):
            fasta, bed = Path(folder) / "some.fa", Path(folder) / "found.bed"
            fasta.write_text(f">coli\n{coli[:length]}\n")
            cpu = time.process_time()
            model.scan(fasta, step=20, output=bed)
            with bed.open() as lines:
                windows = sum(1 for _ in lines)
            result["lengths"].append({
                "bases": length, "windows": windows, "cpu_seconds": time.process_time() - cpu,
                "peak_megabytes": _peak(),
            })  # fmt: skip
            bed.unlink()
    return result


def _path(*parts: str) -> Path:
    root = os.environ.get("TITANS_SEQ_DATA")
    if root is None:
        raise FileNotFoundError("TITANS_SEQ_DATA is not set; it names the folder that holds dna/genomes")
    return Path(root, "dna", *parts)


def _genome(name: str) -> str:
    return str(read_sequences(_path("genomes", name))[0])


def _windows(text: str, size: int) -> list[str]:
    """Return windows side by side, from the second half of a genome on."""
    begin = len(text) // 2
    return [text[at : at + size] for at in range(begin, len(text) - size + 1, size)]


def _peak() -> float:
    """Most memory ever resident in this process, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
