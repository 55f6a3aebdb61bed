"""What is asked of a fitted classifier or regressor of DNA: of variants, bases, vectors and whole genomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    import pandas as pd

    from titans_seq.estimators._attribution import Attribution
    from titans_seq.estimators._dna import DNAEstimator
    from titans_seq.estimators._mutagenesis import Mutagenesis


class Interpreting:
    """Methods of `DNAClassifier` and `DNARegressor`.

    A score is the log odds log(p / (1 - p)) of a class or label, where p is what `predict_proba` says, or a number in
    its own units. With three classes and more those are the odds of the class against all others, not what
    `decision_function` says. None of the methods changes the estimator, and a saved one that is loaded again gives the
    same numbers.
    """

    def variant_effect(
        self,
        genome: Any,
        variants: Any,
        *,
        window: int | None = None,
        windows: Any = None,
        on_mismatch: Literal["raise", "skip"] = "raise",
        strand: Literal["auto", "both", "+", "-"] = "auto",
        write_vcf: str | Path | None = None,
        batch_size: int = 256,
    ) -> Any:
        """Return how variants change the score of the bases around them.

        Each allele is read in a window of the genome with the variant in the middle. Both windows have one length:
        next to a deletion there is more of the chromosome, next to an insertion less. All ways to write a variant
        have one effect, for it is trimmed and moved to the left first (Tan et al. 2015). Places outside the chromosome
        are N. A model that keeps where things stand (`placed_share_`) is right about a window in which they stand as in
        training: give it the ``windows``.

        Parameters
        ----------
        genome : Genome, or whatever `titans_seq.data.Genome` takes
            A path of FASTA, for example. ``chr1`` and ``1`` mean the same.
        variants : path, frame or list
            VCF; pandas or polars frame with chrom, pos (1-based), ref, alt and perhaps id, or a .csv or .tsv of it
            (files: .gz, too); tuples (chrom, pos, ref, alt). Substitutions, insertions and deletions; alleles without
            bases are left out, with a warning.
        window : int, optional
            Bases of a window. Default: the median length of the sequences of `fit`.
        windows : path of BED, or list of Interval or (chrom, start, end[, strand]), optional
            Windows to read variants in, 0-based and half-open, such as those about start sites or junctions that a
            model was fitted to; those of strand "-" are read as reverse complements. Of several that hold a variant
            the one with the nearest middle counts; where none does, the row stays empty, with a warning. What is read
            before an indel stays where it is.
        on_mismatch : {"raise", "skip"}, default "raise"
            Where a reference allele is not what the genome has: refuse, or warn with their number and leave their
            rows empty; a column ``mismatch`` says why.
        strand : {"auto", "both", "+", "-"}, default "auto"
            Strand that is read. "auto": both if `predict` reads both, else "+". Of both, the mean answer.
        write_vcf : path, optional
            VCF to write, with the effects in INFO: the one that was read, with everything in it, or one of the rows of
            a table. TITANS_EFFECT, or one field for each class. Written whole or not at all; .gz is compressed.
        batch_size : int, default 256
            Variants that are in memory at once.

        Returns
        -------
        DataFrame
            Of the library of ``variants``; else pandas. A row for each allele, in order: chrom, pos, id, ref, alt
            (further columns of a table are not in it: join them by these); score_ref and score_alt, what
            `predict_proba` (probabilities, not log odds) or `predict` says of the windows; effect, of a class
            the log odds log(p / (1 - p)) of score_alt minus those of score_ref, with three classes and more against all
            others, and of a number score_alt minus score_ref; and, of both strands, effect_forward and effect_reverse,
            those of each alone, whose mean the effect is (with three classes and more it is that of the mean answer);
            of given windows, ``window``, and forward is the direction of their strand.
            A classifier's columns end in the class (``effect_on``); of two classes only the second has columns. Those
            of several targets end in their numbers.

        Raises
        ------
        ReferenceMismatchError
            A ValueError that lists the variants that do not fit the genome.
        NotFittedError, ValueError, TypeError
            Before `fit`; for data that can't be read, with file and line or row.
        """
        from titans_seq.estimators._variants import Settings, variant_effect

        settings = Settings(window, windows, on_mismatch, strand, batch_size, write_vcf)
        return variant_effect(self._fitted(), genome, variants, settings)

    def mutagenesis(self, sequence: Any, *, region: tuple[int, int] | None = None, target: Any = None) -> Mutagenesis:
        """Return what every substitution of a sequence changes.

        Parameters
        ----------
        sequence : str, SeqRecord or whatever holds one sequence
        region : (start, end), optional
            Places that are substituted, 0-based and half-open. Default: all.
        target : class, label or number of a target, optional
            Default: of two classes the second, of several the likeliest of this sequence; the only target.

        Returns
        -------
        Mutagenesis
            ``effects`` (length, 4): the score with A, C, G or T in each place minus that of the sequence; `to_frame`
            and `plot`. Of a class that is a difference of log odds log(p / (1 - p)), with three classes and more
            against all others; of a number, a difference in its own units.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            Before `fit`; for several sequences, a region outside of it, a target that is not there.
        """
        from titans_seq.estimators._mutagenesis import mutagenesis

        return mutagenesis(self._fitted(), sequence, region, target)

    def integrated_gradients(
        self,
        sequence: Any,
        *,
        target: Any = None,
        n_steps: int = 32,
        baseline: str | ArrayLike = "uniform",
        tolerance: float = 0.01,
    ) -> Attribution:
        """Return what each base adds to the score, against a baseline (Sundararajan et al. 2017, equation 1).

        The gradient with respect to the shares of A, C, G and T in each place is integrated along the line from the
        baseline to the sequence. Where parts of the integral do not fit the change of the score along them, they are
        halved, up to 16 times as many steps. A few steps are in memory at once, of a long sequence one.

        Parameters
        ----------
        sequence, target : as for `mutagenesis`
        n_steps : int, default 32
            Points at which the gradient is taken to begin with, rounded up to a multiple of four.
        baseline : {"uniform", "N"}, str or array (4,) or (length, 4), default "uniform"
            "uniform": a quarter of each base everywhere, without the flag that says N. "N": the letter N, which
            `fit` puts into a twentieth of the places. A sequence of the same length, or shares of A, C, G and T.
        tolerance : float, default 0.01
            Gap that is tolerated between the sum of the attributions and the change of the score, as a share of it (or
            of a hundredth of the sum of the attributions' sizes, if that is more).

        Returns
        -------
        Attribution
            ``attributions`` (length,), ``completeness_gap``; `to_frame` and `plot`.

        Warns
        -----
        UserWarning
            If the gap is larger than tolerated in the end.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            Before `fit`; for several sequences, a target that is not there, another baseline.
        """
        from titans_seq.estimators._attribution import integrated_gradients

        return integrated_gradients(self._fitted(), sequence, target, n_steps, baseline, tolerance)

    def embed(self, X: Any) -> NDArray[np.float64]:
        """Return the vectors that the pooled head reads.

        Largest entry, mean and attention-weighted mean over the positions, of the convolutions and of the backbone;
        the mean of both strands if both are read. Those of several members stand beside each other: their entries
        have nothing to do with each other.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        float array (n, n_members * 3 * (channels + d_model))
            A sequence's vector does not depend on the others.
        """
        from titans_seq.estimators._sequence_scores import StrandReader

        estimator = self._fitted()
        sequences = estimator._read(X)
        estimator._announce(sequences.lengths)
        return StrandReader(estimator).represent(sequences)

    def scan(
        self,
        genome: Any,
        *,
        window: int | None = None,
        step: int | None = None,
        target: Any = None,
        output: str | Path | None = None,
    ) -> pd.DataFrame | Path:
        """Return what is predicted along the records of a genome.

        Windows begin every ``step`` bases of each record, and one more ends where the record does; of a record that
        is shorter than a window, the whole is read. Their answers are those of `predict_proba` or `predict`. A few
        windows are in memory at once, beside one byte for each base of the genome.

        Parameters
        ----------
        genome : Genome, or whatever `titans_seq.data.Genome` takes
        window : int, optional
            Bases of a window. Default: the median length of the sequences of `fit`.
        step : int, optional
            Default: the window, so that windows lie side by side.
        target : class, label or number of a target, optional
            What a file is about. Default: of two classes the second; the only target.
        output : path, optional
            File to write instead of a frame, whole or not at all: ``.bed`` (the windows; class, 1000 times its
            probability, ".", and the number itself in a seventh column) or ``.bedgraph`` (each base has the number of
            the window whose middle is closest, for in bedGraph it can have only one), and either with ``.gz``.

        Returns
        -------
        pandas.DataFrame or Path
            chrom, start, end (0-based, half-open), score: the number, or ``score_`` and the class its probability; of
            two classes the second alone. Or the file.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            Before `fit`; for a genome that can't be read, a file of another kind, several targets and none chosen.
        """
        from titans_seq.estimators._scanning import scan

        return scan(self._fitted(), genome, window, step, target, output)

    def _fitted(self) -> DNAEstimator:
        check_is_fitted(self, "_members", msg="this %(name)s is not fitted yet; call fit first")
        return cast("DNAEstimator", self)
