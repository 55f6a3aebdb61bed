"""Integrated gradients: what each base of a sequence adds to the score, against a baseline."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from titans_seq.adapters.dna import N_FEATURES, DNAExamples, MixtureBatch
from titans_seq.data import read_sequences
from titans_seq.data.sequences.alphabet import MIXTURE, SOFT_MASKED, UNKNOWN, CodeArray, to_codes, to_text
from titans_seq.estimators._mutagenesis import read_one
from titans_seq.estimators._sequence_scores import StrandReader, chosen_output, output_name, scores_of
from titans_seq.estimators._settings import check_integer, check_real

if TYPE_CHECKING:
    import pandas as pd

    from titans_seq.estimators._dna import DNAEstimator

FloatArray = NDArray[np.float64]

MAX_POSITIONS = 2**14
"""Positions whose gradient is taken at once: about 10 kB each in double precision."""

_ORDER = 4
_MOST_REFINED = 16
"""Steps after refinement, as a multiple of those asked for."""

_LEAST_SHARE = 0.01
_FIRST = np.zeros(1, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each base of a sequence adds to its score, against a baseline.

    Attributes
    ----------
    sequence : str
        Upper case.
    target : object
        Class, label or number of the target that was asked about.
    attributions : float array (length,)
        They sum to ``score - baseline_score``, up to `completeness_gap`.
    score, baseline_score : float
        Log odds, or numbers, of the sequence and of the baseline.
    completeness_gap : float
        Sum of the attributions minus ``score - baseline_score``: the error of the integral.
    n_steps : int
        Points on the path at which the gradient was taken, those of the refinement among them.
    """

    sequence: str
    target: Any
    attributions: FloatArray = field(repr=False)
    score: float
    baseline_score: float
    completeness_gap: float
    n_steps: int

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each base: position (from 0), base, attribution."""
        import pandas as pd

        places = np.arange(len(self.sequence))
        return pd.DataFrame({"position": places, "base": list(self.sequence), "attribution": self.attributions})

    def plot(self, path: str | Path, *, title: str | None = None, dpi: int = 150) -> Path:
        """Draw the attributions as a logo; see `titans_seq.evaluation.plot_logo`."""
        from titans_seq.evaluation import plot_logo

        return plot_logo(path, self.sequence, self.attributions, y_label="Attribution", title=title, dpi=dpi)


def integrated_gradients(
    estimator: DNAEstimator, sequence: Any, target: Any, n_steps: int, baseline: Any, tolerance: float
) -> Attribution:
    """Return what `DNAClassifier.integrated_gradients` does."""
    check_integer("n_steps", n_steps, 1)
    check_real("tolerance", tolerance, 0.0, np.inf)
    one = read_one(estimator, sequence)
    reader = StrandReader(estimator)
    output = chosen_output(reader.targets, target, reader.answers(one))
    encoder = reader.members[0].model.encoder
    features = encoder(DNAExamples(one).batch(_FIRST))[0].double()
    origin = _baseline(baseline, one.codes, features)
    if features.shape[1] > N_FEATURES:
        origin[:, N_FEATURES:] = _said_of_baseline(baseline, len(features), encoder)
    path = _Path(_Score(reader, output), origin, features)
    panels, steps = path.integrate(n_steps, tolerance)
    attributions = np.sum([panel.attributions for panel in panels], axis=0)
    score, from_score = panels[-1].after, panels[0].before
    gap = float(attributions.sum() - (score - from_score))
    allowed = _allowed(panels, tolerance)
    if abs(gap) > allowed:
        warnings.warn(
            f"integrated gradients: after {steps} steps the attributions miss the change of the score of "
            f"{score - from_score:.3g} by {gap:.2g}, more than the tolerance of {allowed:.2g}; use more n_steps",
            UserWarning,
            stacklevel=3,
        )
    letters = to_text(one.codes).upper()
    return Attribution(letters, output_name(reader.targets, output), attributions, score, from_score, gap, steps)


class _Score:
    """The score of sequences of one length, and its gradient; one network and strand is held in memory at a time."""

    def __init__(self, reader: StrandReader, output: int) -> None:
        self.reader, self.output = reader, output
        self.parts = [(member, strand) for member in reader.members for strand in range(1 + reader.both_strands)]
        for member in reader.members:
            member.model.to(reader.device).eval().requires_grad_(False)

    def values(self, features: Tensor) -> FloatArray:
        """Return the scores (batch,) of features (batch, length, N_FEATURES)."""
        with torch.no_grad():
            return self._score(self._answers(features)).cpu().numpy()

    def gradient(self, features: Tensor) -> Tensor:
        """Return how the score of each row changes with its features, of their shape."""
        answers = features.new_zeros(len(features), self.reader.targets.objective.n_outputs)
        if answers.shape[1] > 2:
            # What each network's answer counts for follows from all of them: with more classes than two the score
            # is not linear in them.
            with torch.no_grad():
                answers = self._answers(features)
        (weight,) = torch.autograd.grad(self._score(answers.requires_grad_()).sum(), answers)
        total = torch.zeros_like(features)
        for member, strand in self.parts:
            x = features.detach().requires_grad_()
            said = (self._said(member, strand, x) * weight).sum() / len(self.parts)
            total += torch.autograd.grad(said, x)[0]
        return total

    def _answers(self, features: Tensor) -> Tensor:
        total = [self._said(member, strand, features) for member, strand in self.parts]
        return torch.stack(total).mean(0)

    def _said(self, member: Any, strand: int, features: Tensor) -> Tensor:
        lengths = torch.full((len(features),), features.shape[1], device=features.device)
        batch = MixtureBatch(features, lengths)
        return member.choice.combine(member.model(batch.reverse_complement() if strand else batch))

    def _score(self, answers: Tensor) -> Tensor:
        return scores_of(self.reader.targets, answers)[:, self.output]


class _Panel(NamedTuple):
    """A part of the path, the scores at its ends, and its integral (length,)."""

    begin: float
    end: float
    before: float
    after: float
    attributions: FloatArray

    @property
    def gap(self) -> float:
        return float(self.attributions.sum() - (self.after - self.before))


class _Path:
    """The straight line from a baseline to a sequence.

    The integral of the gradient along any part of it is the difference of the scores at its ends: so each part says
    how wrong its integral is, and those that are most wrong are halved.
    """

    def __init__(self, score: _Score, origin: Tensor, end: Tensor) -> None:
        self.score, device = score, score.reader.device
        self.origin, self.change = origin.to(device), (end - origin).to(device)
        self.rows = max(1, MAX_POSITIONS // len(end))

    def integrate(self, n_steps: int, tolerance: float) -> tuple[list[_Panel], int]:
        """Return the parts of the integral in their order, and how many gradients were taken."""
        bounds = np.linspace(0.0, 1.0, -(-n_steps // _ORDER) + 1)
        panels = self._panels(bounds[:-1], bounds[1:])
        steps, most = _ORDER * len(panels), _MOST_REFINED * max(n_steps, _ORDER)
        while steps < most and sum(abs(panel.gap) for panel in panels) > _allowed(panels, tolerance):
            poor = _poorest(panels, _allowed(panels, tolerance), (most - steps) // (2 * _ORDER))
            if not poor:
                break
            begins, ends = (np.array([panels[i][side] for i in poor]) for side in (0, 1))
            middles = (begins + ends) / 2
            halves = self._panels(np.concatenate((begins, middles)), np.concatenate((middles, ends)))
            kept = [panel for i, panel in enumerate(panels) if i not in poor]
            panels = sorted(kept + halves, key=lambda panel: panel.begin)
            steps += 2 * _ORDER * len(poor)
        return panels, steps

    def _panels(self, begins: FloatArray, ends: FloatArray) -> list[_Panel]:
        """Integrate from each beginning to its end with Gauss and Legendre's four points."""
        bounds, which = np.unique(np.concatenate((begins, ends)), return_inverse=True)
        scores = np.concatenate([self.score.values(self._at(part)) for part in self._batches(bounds)])
        before, after = scores[which].reshape(2, -1)
        found = self._integrals(begins, ends)
        numbers = np.stack((begins, ends, before, after), 1).tolist()
        return [_Panel(a, b, y, z, found[i]) for i, (a, b, y, z) in enumerate(numbers)]

    def _integrals(self, begins: FloatArray, ends: FloatArray) -> FloatArray:
        """Return the integral of each base's slope over each part, (n_parts, length), some parts at a time."""
        nodes, weights = np.polynomial.legendre.leggauss(_ORDER)
        places = begins[:, None] + (ends - begins)[:, None] * (nodes + 1) / 2
        found = []
        for part in np.array_split(places, -(-places.size // max(self.rows, _ORDER))):
            slopes = np.concatenate([self._slopes(some) for some in self._batches(part.ravel())])
            found.append(np.einsum("pkl,k->pl", slopes.reshape(*part.shape, -1), weights / 2))
        return np.concatenate(found) * (ends - begins)[:, None]

    def _batches(self, places: FloatArray) -> list[FloatArray]:
        return [places[at : at + self.rows] for at in range(0, len(places), self.rows)]

    def _at(self, places: FloatArray) -> Tensor:
        share = torch.from_numpy(places).to(self.change.device)[:, None, None]
        return self.origin + share * self.change

    def _slopes(self, places: FloatArray) -> FloatArray:
        """Return, of each base, how the score changes along the path, (n, length)."""
        return (self.score.gradient(self._at(places)) * self.change).sum(2).cpu().numpy()


def _allowed(panels: list[_Panel], tolerance: float) -> float:
    """Return the gap that is tolerated: a share of the change of the score, which may be close to 0 by chance."""
    total = np.abs(np.sum([panel.attributions for panel in panels], axis=0)).sum()
    return tolerance * max(abs(panels[-1].after - panels[0].before), _LEAST_SHARE * float(total))


def _poorest(panels: list[_Panel], allowed: float, most: int) -> list[int]:
    """Return the parts whose gaps matter, the largest first."""
    gaps = np.abs([panel.gap for panel in panels])
    order = np.argsort(-gaps)
    return [int(i) for i in order[:most] if gaps[i] > allowed / (2 * len(panels))]


def _said_of_baseline(baseline: str | ArrayLike, length: int, encoder: nn.Module) -> Tensor:
    """Return what a language model says of the baseline if that is a sequence, else of as many N."""
    named = not isinstance(baseline, str) or baseline in ("uniform", "N")
    text = "N" * length if named else str(baseline)
    said: Tensor = encoder(DNAExamples(read_sequences([text])).batch(_FIRST))
    return said[0, :, N_FEATURES:]


def _baseline(baseline: str | ArrayLike, codes: CodeArray, features: Tensor) -> Tensor:
    """Return the features (length, n) where the path begins, in which flags of bases are those of the sequence."""
    origin = features.clone()
    if isinstance(baseline, str) and baseline == "uniform":
        origin[:, :4] = 0.25
        return origin
    if isinstance(baseline, str) and baseline == "N":
        origin[:, :4], origin[:, 5] = 0.25, 1.0
        return origin
    if isinstance(baseline, str):
        return _sequence_baseline(baseline, codes, origin)
    shares = np.asarray(baseline, dtype=np.float64)
    if shares.shape not in ((4,), (len(codes), 4)) or not np.allclose(shares.sum(-1), 1) or (shares < 0).any():
        raise ValueError(
            f"baseline must be 'uniform', 'N', a sequence of {len(codes)} bases, or shares of A, C, G and T "
            f"that sum to 1, (4,) or ({len(codes)}, 4); got an array of shape {shares.shape}"
        )
    origin[:, :4] = torch.from_numpy(shares)
    return origin


def _sequence_baseline(text: str, codes: CodeArray, origin: Tensor) -> Tensor:
    try:
        letters = to_codes(text) & np.uint8(SOFT_MASKED - 1)
    except ValueError as error:
        raise ValueError(f"baseline is neither 'uniform' nor 'N' nor a sequence: {error}") from None
    if len(letters) != len(codes):
        raise ValueError(f"baseline has {len(letters)} bases, the sequence {len(codes)}; they must be as many")
    origin[:, :4] = torch.from_numpy(MIXTURE[letters]).double()
    origin[:, 5] = torch.from_numpy(letters == UNKNOWN).double()
    return origin
