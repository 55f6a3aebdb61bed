"""Integrated gradients: against a sum over a fine grid, and against what must hold whatever the network."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fitted_dna import background, both_strands, holding, log_odds, one_strand, regressor, several_labels, three_classes
from planted_motifs import MOTIF

from titans_seq import DNAClassifier
from titans_seq.adapters.dna import MixtureBatch
from titans_seq.data import read_sequences
from titans_seq.estimators import _attribution

AT = 14
SEQUENCE = holding(40, AT)


def features_of(sequence: str) -> torch.Tensor:
    """Return shares of A, C, G and T, and no flags."""
    shares = read_sequences([sequence]).one_hot(0)
    return torch.from_numpy(np.concatenate((shares, np.zeros((len(shares), 2))), 1)).double()


def logits(model: Any, features: torch.Tensor) -> torch.Tensor:
    """Return the mean logits of members and strands, (batch, n_outputs): written without the package's own reader."""
    found, n = [], features.shape[1]
    strands = [features]
    if model.both_strands_:
        strands.append(features.flip(1)[..., [3, 2, 1, 0, 4, 5]])
    for member in model._members:
        network = copy.deepcopy(member.model.network).double()
        for strand in strands:
            heads = network(strand, torch.full((len(strand),), n))
            share = member.choice.placed_share if heads.shape[1] == 2 else 0.0
            said = (1 - share) * heads[:, 0] + share * heads[:, -1]
            beside, count = kmer_logits(member.model, strand), member.choice.kmer_share
            found.append(((1 - count) * said + count * beside) / member.choice.temperature)
    return torch.stack(found).mean(0)


def kmer_logits(model: Any, features: torch.Tensor) -> torch.Tensor:
    """Return what the k-mers say: their weights times how much of each there is, which is written out in full."""
    if model.kmers is None:
        return torch.zeros(1, dtype=torch.float64)
    total = model.kmers.bias.double()
    for kind in model.kmers.kinds:
        weights = getattr(model.kmers, kind.name).double()
        n = features.shape[1] - kind.k + 1
        for at in range(n):
            there = torch.ones(len(features), 1, dtype=torch.float64)
            for base in features[:, at : at + kind.k, :4].unbind(1):
                there = (there[:, :, None] * base[:, None]).flatten(1)
            total = total + (there @ weights[at] if kind.where == "placed" else there @ weights / n)
    return total


def grid_sum(model: Any, sequence: str, score: Any, n: int) -> np.ndarray:
    """Return the integral as a plain sum over the middles of n equal steps."""
    end = features_of(sequence)
    origin = end.clone()
    origin[:, :4] = 0.25
    shares = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    x = (origin + shares[:, None, None] * (end - origin)).requires_grad_()
    (slopes,) = torch.autograd.grad(score(logits(model, x)).sum(), x)
    return (slopes.mean(0) * (end - origin)).sum(1).numpy()


@pytest.mark.parametrize("which", ["one", "both", "three"])
def test_attributions_are_the_sum_over_a_fine_grid(which: str) -> None:
    model, score, target = {
        "one": (one_strand(), lambda z: z[:, 1] - z[:, 0], None),
        "both": (both_strands(), lambda z: z[:, 0] - z[:, 1], False),
        "three": (three_classes(), lambda z: z[:, 1] - torch.logaddexp(z[:, 0], z[:, 2]), "low"),
    }[which]
    found = model.integrated_gradients(SEQUENCE, target=target, n_steps=64, tolerance=1e-3)
    expected = grid_sum(model, SEQUENCE, score, 400)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.attributions, expected, rtol=0, atol=0.01 * scale)
    assert abs(found.attributions.sum() - expected.sum()) < 0.01 * scale


@pytest.mark.parametrize("baseline", ["uniform", "N", background(40, seed=9), [0.3, 0.2, 0.2, 0.3]])
@pytest.mark.parametrize("model", [one_strand, both_strands])
def test_attributions_sum_to_the_change_of_the_score(model: Any, baseline: Any) -> None:
    found = model().integrated_gradients(SEQUENCE, baseline=baseline)
    change = found.score - found.baseline_score
    assert found.completeness_gap == pytest.approx(found.attributions.sum() - change, abs=1e-12)
    assert abs(found.completeness_gap) <= 0.01 * max(abs(change), 0.01 * np.abs(found.attributions).sum())
    assert found.score == pytest.approx(log_odds(model().predict_proba([SEQUENCE])[0, 1]), rel=1e-8)
    if isinstance(baseline, str) and baseline != "uniform":
        text = baseline if len(baseline) > 1 else "N" * 40
        assert found.baseline_score == pytest.approx(log_odds(model().predict_proba([text])[0, 1]), rel=1e-8)


def test_the_motif_is_on_top() -> None:
    found = one_strand().integrated_gradients(SEQUENCE)
    best = np.argsort(-found.attributions)[:5]
    assert ((best >= AT) & (best < AT + len(MOTIF))).all()
    assert found.attributions[AT : AT + len(MOTIF)].sum() > 0.5 * (found.score - found.baseline_score) > 0


def test_where_a_sequence_is_its_baseline_nothing_is_attributed() -> None:
    other = "".join("CGTA"["ACGT".index(base)] if 10 <= at < 20 else base for at, base in enumerate(SEQUENCE))
    found = both_strands().integrated_gradients(SEQUENCE, baseline=other)
    assert (found.attributions[:10] == 0).all() and (found.attributions[20:] == 0).all()
    assert np.abs(found.attributions[10:20]).min() > 0
    hidden = both_strands().integrated_gradients(SEQUENCE[:10] + "NNNN" + SEQUENCE[14:])
    assert (hidden.attributions[10:14] == 0).all()


def test_both_strands_of_a_sequence_get_the_same_attributions() -> None:
    turned = read_sequences([SEQUENCE]).reverse_complement()[0]
    there = both_strands().integrated_gradients(SEQUENCE)
    back = both_strands().integrated_gradients(turned)
    np.testing.assert_allclose(there.attributions, back.attributions[::-1], rtol=0, atol=1e-9)


def test_refinement_narrows_the_gap_that_a_coarse_integral_leaves() -> None:
    with pytest.warns(UserWarning, match="use more n_steps"):
        coarse = one_strand(kmers=False).integrated_gradients(SEQUENCE, n_steps=1, tolerance=1e-9)
    fine = one_strand(kmers=False).integrated_gradients(SEQUENCE, n_steps=1, tolerance=0.01)
    assert 4 < fine.n_steps <= coarse.n_steps <= 64
    assert abs(fine.completeness_gap) <= 0.01 * abs(fine.score - fine.baseline_score)


def test_attributions_do_not_depend_on_how_many_points_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = both_strands().integrated_gradients(SEQUENCE)
    monkeypatch.setattr(_attribution, "MAX_POSITIONS", 1)
    found = both_strands().integrated_gradients(SEQUENCE)
    np.testing.assert_allclose(found.attributions, expected.attributions, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_whole_small_genome_is_attributed_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    gradient = _attribution._Score.gradient

    def watched(self: Any, features: torch.Tensor) -> torch.Tensor:
        sizes.append(features.shape[0] * features.shape[1])
        return gradient(self, features)

    monkeypatch.setattr(_attribution._Score, "gradient", watched)
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 30_000))
    found = one_strand().integrated_gradients(bases, n_steps=4, tolerance=100.0)
    assert found.attributions.shape == (30_000,)
    assert sizes == [30_000] * 4
    change = found.score - found.baseline_score
    assert found.completeness_gap == pytest.approx(found.attributions.sum() - change, abs=1e-9)
    assert abs(change) > 0.1


def test_labels_and_numbers_have_attributions_in_their_units() -> None:
    found = regressor(2).integrated_gradients(SEQUENCE, target=1)
    assert found.score == pytest.approx(regressor(2).predict([SEQUENCE])[0, 1], rel=1e-9)
    label = several_labels().integrated_gradients(SEQUENCE, target=0)
    assert label.score == pytest.approx(log_odds(several_labels().predict_proba([SEQUENCE])[0, 0]), rel=1e-8)


def test_asking_changes_nothing_and_a_saved_model_gives_the_same_attributions(tmp_path: Path) -> None:
    p = both_strands().predict_proba([SEQUENCE])
    found = both_strands().integrated_gradients(SEQUENCE)
    both_strands().save(tmp_path / "m")
    again = DNAClassifier.load(tmp_path / "m").integrated_gradients(SEQUENCE)
    np.testing.assert_array_equal(again.attributions, found.attributions)
    np.testing.assert_array_equal(both_strands().predict_proba([SEQUENCE]), p)


def test_it_is_a_frame_and_a_figure(tmp_path: Path) -> None:
    found = one_strand().integrated_gradients(SEQUENCE)
    frame = found.to_frame()
    assert list(frame.columns) == ["position", "base", "attribution"]
    assert "".join(frame["base"]) == SEQUENCE
    np.testing.assert_array_equal(frame["attribution"], found.attributions)
    assert found.plot(tmp_path / "a.png", dpi=40).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_steps": 0}, ValueError, "n_steps must be at least 1"),
        ({"tolerance": 0.0}, ValueError, "tolerance must lie between"),
        ({"baseline": "zeros"}, ValueError, "baseline is neither 'uniform' nor 'N' nor a sequence"),
        ({"baseline": "ACGT"}, ValueError, "baseline has 4 bases, the sequence 40"),
        ({"baseline": [0.5, 0.5, 0.5, 0.5]}, ValueError, "shares of A, C, G and T that sum to 1"),
        ({"baseline": np.full((3, 4), 0.25)}, ValueError, "got an array of shape \\(3, 4\\)"),
    ],
)
def test_a_bad_argument_is_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        one_strand().integrated_gradients(SEQUENCE, **options)


def test_features_of_letters_and_letters_get_the_same_answer_on_both_strands() -> None:
    model = one_strand()._members[0].model
    batch = MixtureBatch(features_of(SEQUENCE)[None].float(), torch.tensor([40]))
    turned = batch.reverse_complement()
    expected = features_of(read_sequences([SEQUENCE]).reverse_complement()[0])
    torch.testing.assert_close(turned.features[0].double(), expected)
    padded = MixtureBatch(torch.nn.functional.pad(batch.features, (0, 0, 0, 9)), batch.lengths).reverse_complement()
    torch.testing.assert_close(padded.features[:, :40], turned.features)
    assert (padded.features[:, 40:] == 0).all()
    with torch.no_grad():
        torch.testing.assert_close(model(padded), model(turned), rtol=0, atol=1e-4)
