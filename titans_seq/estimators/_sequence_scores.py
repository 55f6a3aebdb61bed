"""What is asked of a network about a change of its input: log odds of classes, or numbers in their own units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters.dna import DNAExamples
from titans_seq.estimators._sequence_predicting import doubled, read, representations
from titans_seq.estimators._sequence_targets import ClassTargets, ValueTargets

if TYPE_CHECKING:
    from titans_seq.data import Sequences
    from titans_seq.estimators._dna import DNAEstimator

FloatArray = NDArray[np.float64]
Targets = ClassTargets | ValueTargets


class StrandReader:
    """A fitted estimator that is asked many times: its networks are brought to double precision once.

    Parameters
    ----------
    estimator : DNAEstimator
        Fitted.
    """

    def __init__(self, estimator: DNAEstimator) -> None:
        self.targets = estimator._targets
        self.both_strands = bool(estimator.both_strands_)
        self.device = estimator._device()
        self.members = doubled(estimator._members)

    def answers(self, sequences: Sequences, both_strands: bool | None = None) -> FloatArray:
        """Return calibrated logits or standardised numbers (n, n_outputs); by default of the strands of `predict`."""
        both = self.both_strands if both_strands is None else both_strands
        return read(self.members, DNAExamples(sequences), both_strands=both, device=self.device)

    def scores(self, sequences: Sequences) -> FloatArray:
        """Return what `scores_of` makes of the answers."""
        return scores_of(self.targets, torch.from_numpy(self.answers(sequences))).numpy()

    def represent(self, sequences: Sequences) -> FloatArray:
        """Return pooled representations, those of the members beside each other (n, width)."""
        examples = DNAExamples(sequences)
        return representations(self.members, examples, both_strands=self.both_strands, device=self.device)


def scores_of(targets: Targets, answers: Tensor) -> Tensor:
    """Return log p / (1 - p) of each class or label, or numbers in their own units; (n, n_outputs).

    Of classes that exclude each other that is z_k - log sum over the others of exp z_j.
    """
    if isinstance(targets, ValueTargets):
        center, scale = (torch.as_tensor(x, device=answers.device) for x in (targets.center, targets.scale))
        return answers * scale + center
    if targets.many:
        return answers
    others = [torch.cat((answers[:, :k], answers[:, k + 1 :]), 1).logsumexp(1) for k in range(answers.shape[1])]
    return answers - torch.stack(others, 1)


def shown_scores(targets: Targets, answers: FloatArray) -> FloatArray:
    """Return what `predict_proba` or `predict` says, (n, n_outputs)."""
    if isinstance(targets, ClassTargets):
        return targets.probabilities(answers)
    return targets.decode(answers).reshape(answers.shape)


def reported(targets: Targets) -> dict[str, int]:
    """Return the outputs that tables have columns for, by the ending of their names.

    Of two classes the second alone; of one target the name has no ending.
    """
    if isinstance(targets, ValueTargets):
        return {"": 0} if targets.flat else {f"_{k}": k for k in range(len(targets.center))}
    if targets.many or len(targets.classes) > 2:
        return {f"_{name}": k for k, name in enumerate(targets.classes.tolist())}
    return {f"_{targets.classes[1]}": 1}


def chosen_output(targets: Targets, target: Any, answers: FloatArray | None) -> int:
    """Return the output that is meant.

    Parameters
    ----------
    targets : ClassTargets or ValueTargets
    target : class, label or number of a target, or None
        None: of two classes the second, of several the likeliest in `answers`; the only target.
    answers : float array (1, n_outputs), optional
        Without them, None can't mean one of several.

    Raises
    ------
    ValueError
        If there is none of that name, or None could be several.
    """
    names = targets.classes.tolist() if isinstance(targets, ClassTargets) else list(range(len(targets.center)))
    if target is not None:
        wanted = target.item() if isinstance(target, np.generic) else target
        if wanted not in names:
            raise ValueError(f"target {target!r} is not among {_listed(names)}")
        return names.index(wanted)
    if isinstance(targets, ClassTargets) and not targets.many and len(names) == 2:
        return 1
    if isinstance(targets, ClassTargets) and answers is not None:
        return int(answers[0].argmax())
    if len(names) > 1:
        raise ValueError(f"there are {len(names)} targets; choose one of {_listed(names)} with target=")
    return 0


def output_name(targets: Targets, k: int) -> Any:
    """Return the class, or the number of the target, that an output stands for."""
    return targets.classes.tolist()[k] if isinstance(targets, ClassTargets) else k


def _listed(names: list[Any]) -> str:
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
