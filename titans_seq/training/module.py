"""The Lightning module: what is minimised, and how."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from titans_seq.adapters.series import SeriesModel
from titans_seq.adapters.tokens import LinearForecast, Tokens, make_tokens
from titans_seq.training.ranks import ALONE
from titans_seq.training.sampling import Stretch
from titans_seq.training.sharded import collect_weights, spread_weights

SPREAD_WEIGHT = 0.1


class SeriesTraining(pl.LightningModule):
    """Squared error of linear forecast + correction at every patch, and pinball loss of the interval widths.

    Parameters
    ----------
    model : SeriesModel
    linear : LinearForecast
    quantile_levels : tuple of float
        Levels of the pinball loss.
    learning_rate : float
        Peak of a schedule that warms up over at most 100 steps and falls to a tenth along a cosine.
    total_steps : int
        Steps after which the schedule ends. The clock has no part in it: the same seed gives the same bits.
    validate : callable
        Returns the validation error of the model as it stands.
    """

    def __init__(
        self,
        model: SeriesModel,
        linear: LinearForecast,
        *,
        quantile_levels: tuple[float, ...],
        learning_rate: float,
        total_steps: int,
        validate: Callable[[], float],
    ) -> None:
        super().__init__()
        self.model, self.linear = model, linear
        self.ranks = ALONE
        self._whole: list[SeriesModel] = []
        self.learning_rate, self.validate = learning_rate, validate
        self.total_steps = total_steps
        normal = torch.distributions.Normal(0.0, 1.0)
        self.levels: Tensor
        self.offsets: Tensor
        self.register_buffer("levels", torch.tensor(quantile_levels), persistent=False)
        self.register_buffer("offsets", normal.icdf(torch.tensor(quantile_levels)), persistent=False)

    def training_step(self, batch: Stretch, batch_idx: int) -> Tensor:
        """Loss of one batch of stretches."""
        tokens, hidden, counted = self.read(batch)
        correction = self.model.correct(hidden, tokens.scale)
        targets, weight = _targets(batch, self.model.horizon)
        weight = weight * counted.unsqueeze(-1)
        error = targets - tokens.linear - correction.shift
        loss = self._mean(error.square(), weight)
        spread = correction.log_spread.exp() * tokens.scale.unsqueeze(-1)
        loss = loss + SPREAD_WEIGHT * self._pinball(error.detach(), spread, weight)
        self.log("train_loss", self.ranks.mean(loss), prog_bar=True, batch_size=len(targets))
        return self.ranks.reach(loss, self.model.parameters())

    @property
    def whole(self) -> SeriesModel:
        """The model whose weights are not spread over ranks; those of training, once they are collected."""
        return self._whole[0] if self._whole else self.model

    def collect(self) -> None:
        """Bring the weights of training into `whole`."""
        if self._whole:
            collect_weights(self.model, self.whole.to(self.device))

    def configure_model(self) -> None:
        """Spread the weights over the ranks, if that is the strategy."""
        if self.ranks.strategy == "fsdp" and not self._whole:
            self._whole = [self.model]
            self.model = spread_weights(copy.deepcopy(self.model), self.device_mesh, ("read", "correct"))

    def on_train_start(self) -> None:
        """Draw other random numbers on every rank."""
        self.ranks.reseed()

    def read(self, batch: Stretch) -> tuple[Tokens, Tensor, Tensor]:
        """Read a batch with the network.

        Returns
        -------
        tokens : Tokens
        hidden : Tensor, shape (batch, tokens, d_model)
        counted : Tensor of bool, shape (batch, tokens)
            Tokens whose forecasts enter the loss.
        """
        tokens = self._tokens(batch)
        hidden, _ = self.model.read(tokens)
        return tokens, hidden, tokens.mask

    def _tokens(self, batch: Stretch) -> Tokens:
        return make_tokens(
            self.model.patching,
            self.linear,
            batch.group,
            batch.values,
            batch.observed,
            batch.starts,
            batch.cutoffs,
            batch.calendar,
            batch.covariates,
        )

    def _pinball(self, error: Tensor, spread: Tensor, weight: Tensor) -> Tensor:
        """Pinball loss of normal quantiles of width ``spread`` around the forecast."""
        beyond = error.unsqueeze(-1) - spread.unsqueeze(-1) * self.offsets
        loss = torch.maximum(self.levels * beyond, (self.levels - 1) * beyond).mean(-1)
        return self._mean(loss, weight)

    def _mean(self, x: Tensor, weight: Tensor) -> Tensor:
        """Weighted mean where weights are 1 on average: a batch of rows that count little weighs little."""
        return (x * weight).sum() / self.ranks.rows_each((weight > 0).to(x.dtype).sum())

    def transfer_batch_to_device(self, batch: Stretch, device: torch.device, dataloader_idx: int) -> Stretch:
        """Move the rows of this rank."""
        return (batch if self.ranks.alone else batch.part(self.ranks)).to(device)

    def configure_optimizers(self) -> Any:
        """AdamW under the schedule described above."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        warm_up = min(100, max(1, self.total_steps // 20))
        if step < warm_up:
            return (step + 1) / warm_up
        progress = min(1.0, (step - warm_up) / max(1, self.total_steps - warm_up))
        return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))


def _targets(batch: Stretch, horizon: int) -> tuple[Tensor, Tensor]:
    """Rows after each cut-off (batch, tokens, horizon), and a weight that is 0 where they must not count."""
    columns = batch.cutoffs.unsqueeze(-1) + torch.arange(horizon, device=batch.cutoffs.device)
    flat = columns.flatten(1).clamp(max=batch.values.shape[1] - 1)
    targets = batch.values.gather(1, flat).view(columns.shape).float()
    seen = batch.observed.gather(1, flat).view(columns.shape)
    usable = seen & (columns < batch.target_end[:, None, None]) & (columns < batch.values.shape[1])
    return targets, usable.float() * batch.weight.gather(1, flat).view(columns.shape)
