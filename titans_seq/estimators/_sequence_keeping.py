"""Members whose training is over in a checkpoint, so that they are not trained again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from titans_seq.adapters.kmer_scores import KmerScores
from titans_seq.adapters.sequence_network import SequenceModel, SequenceNetwork
from titans_seq.estimators._sequence_choosing import Choice
from titans_seq.estimators._sequence_predicting import Member

if TYPE_CHECKING:
    from titans_seq.estimators._sequence_fitting import Plan
    from titans_seq.training.checkpoint import Saved

History = list[dict[str, float | None]]


def kept(member: Member, both_strands: bool, history: History) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and facts of a trained member."""
    facts = {"choice": asdict(member.choice), "both_strands": both_strands, "history": history}
    return member.model.state_dict(), {**facts, "finished": True}


def restored(plan: Plan, saved: Saved) -> tuple[Member, bool, History]:
    """Put together what `kept` took apart."""
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and then replaced
        model = SequenceModel(plan.encoder(), SequenceNetwork(plan.shape))
    model.kmers = KmerScores.from_tensors(saved.part("kmers."))
    model.load_state_dict(saved.tensors)
    # As after training: torch multiplies in another order where gradients may come.
    model.eval().requires_grad_(False)
    return Member(model, Choice(**saved.facts["choice"])), saved.facts["both_strands"], saved.facts["history"]
