"""`titans-seq variants`: what a saved model of DNA says of the variants of a genome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.dna.classify import check_output, load_dna_model

if TYPE_CHECKING:
    import polars as pl

_VCF = (".vcf", ".vcf.gz")


def is_vcf(path: Path) -> bool:
    """Whether a file is to be written as VCF."""
    return path.name.lower().endswith(_VCF)


def rank_variants(model: Path, genome: Path, variants: Path, *, output: Path | None, **options: Any) -> pl.DataFrame:
    """Let a saved `DNAClassifier` or `DNARegressor` judge variants, the largest effects first.

    Parameters
    ----------
    model : Path
        Folder of a run or of a saved model.
    genome : Path
        FASTA, perhaps gzipped.
    variants : Path
        VCF, or a table .csv or .tsv with the columns chrom, pos (1-based), ref, alt; perhaps gzipped.
    output : Path, optional
        If it is VCF, it is written, its rows in the order of ``variants``.
    **options
        Of `DNAClassifier.variant_effect`.

    Returns
    -------
    polars.DataFrame
        As `DNAClassifier.variant_effect` returns it, by the size of the largest effect.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        For models, genomes or variants that can't be read, and reference alleles that the genome does not have.
    """
    import polars as pl

    estimator = load_dna_model(model, "variants")
    if output is not None and is_vcf(output):
        options["write_vcf"] = output
    if not variants.is_file():
        raise FileNotFoundError(f"{variants}: there is no such file")
    found = estimator.variant_effect(genome, variants, **options)
    frame = found if isinstance(found, pl.DataFrame) else pl.from_pandas(found)
    effects = [
        name for name in frame.columns if name.startswith("effect") and not name.endswith(("forward", "reverse"))
    ]
    size = pl.max_horizontal(pl.col(name).abs() for name in effects)
    return frame.sort(size, descending=True, nulls_last=True, maintain_order=True)


def check_variant_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that can't be written, before any work."""
    if not is_vcf(path):
        check_output(path, overwrite=overwrite)
    elif path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; add --overwrite or choose another file")
    elif not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")
