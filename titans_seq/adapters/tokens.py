"""From rows of series to tokens: patches, the mask of what was observed, causal scaling, the linear forecast.

Everything here is a function of the rows before each token's cut-off, so a stream that is read piece by piece
gives the tokens of the stream read whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from titans_seq.adapters._linear_gaps import trailing_gap
from titans_seq.adapters.lags import LaggedMap
from titans_seq.adapters.linear import LinearMap, linear_predict_torch

SCALE_FLOOR = 0.02
_CLIP = 30.0


@dataclass(frozen=True)
class Tokens:
    """Tokens of a batch of series, and what their forecasts start from.

    Attributes
    ----------
    features : Tensor, shape (batch, tokens, n_features), float32
        Input of the network.
    mask : Tensor of bool, shape (batch, tokens)
        False for a patch of which nothing was observed.
    scale : Tensor, shape (batch, tokens), float32
        Standard deviation of the rows in the trailing window (floored), in units of the scaled series.
    linear : Tensor, shape (batch, tokens, horizon), float32
        Closed-form forecast from each cut-off, in units of the scaled series; of no steps if it was not asked for.
    lowest : Tensor, shape (batch, tokens), float64
        Value below which no forecast from that cut-off may fall; -inf: there is no such bound.
    gap : Tensor of int64, shape (batch, tokens)
        Missing rows since the last observed one before each cut-off, at most the look-back.
    """

    features: Tensor
    mask: Tensor
    scale: Tensor
    linear: Tensor
    lowest: Tensor
    gap: Tensor

    def split(self, n: int) -> tuple[Tokens, Tokens]:
        """Return the first ``n`` tokens of every row, and the others."""
        first, rest = ({name: x[:, part] for name, x in vars(self).items()} for part in (slice(n), slice(n, None)))
        return Tokens(**first), Tokens(**rest)


@dataclass(frozen=True)
class Patching:
    """How rows become tokens.

    Attributes
    ----------
    patch_length : int
        Rows per token.
    context_length : int
        Rows of the trailing window: look-back of the linear forecast and of the scaling.
    periods : tuple of str
        Calendar periods that are features of a token.
    n_covariates : int
        Features of each row beside its value, see `titans_seq.data.covariates`.
    """

    patch_length: int
    context_length: int
    periods: tuple[str, ...] = ()
    n_covariates: int = 0

    @property
    def n_features(self) -> int:
        """Width of a token before the encoder: values, mask, covariates, log scale, fill, calendar."""
        return (2 + self.n_covariates) * self.patch_length + 2 + 2 * len(self.periods)


class LinearForecast(nn.Module):
    """The closed-form forecast on tensors; not learned by gradient.

    A map with weights of its own for each series gets one more group, their mean, for series it never saw.

    Parameters
    ----------
    linear : LinearMap
    lags : LaggedMap, optional
        What covariates add.
    lower_bound : bool
        Whether forecasts are to stay above the lowest value of their window.
    """

    def __init__(self, linear: LinearMap, lags: LaggedMap | None = None, *, lower_bound: bool = False) -> None:
        super().__init__()
        self.lags, self.lower_bound = lags or LaggedMap(), lower_bound
        weights, bias = (torch.from_numpy(x).float() for x in (linear.weights, linear.bias))
        if not linear.shared:
            weights, bias = (torch.cat([x, x.mean(0, keepdim=True)]) for x in (weights, bias))
        self.centring, self.shared, self.fill_steps = linear.centring, linear.shared, linear.fill_steps
        self.weights: Tensor
        self.bias: Tensor
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    @property
    def unseen_group(self) -> int:
        """Group of a series that was not there when the map was fitted."""
        return len(self.weights) - 1

    def forward(self, windows: Tensor, observed: Tensor, group: Tensor) -> Tensor:
        """Forecast from windows (n, context_length) of scaled values: (n, horizon)."""
        given = (self.weights, self.bias, self.centring, windows, observed, group)
        return linear_predict_torch(*given, fill_steps=self.fill_steps)

    def lowest(self, windows: Tensor, observed: Tensor) -> Tensor:
        """Return what no forecast from windows (n, context_length) may fall below, (n,); -inf where there is nothing.

        In double precision and a little above, so that no zero of the data comes back as a negative number.
        """
        if not self.lower_bound:
            return torch.full((len(windows),), -torch.inf, dtype=torch.float64, device=windows.device)
        lowest = windows.double().masked_fill(~observed, torch.inf).amin(-1)
        return lowest.masked_fill(lowest == torch.inf, -torch.inf)


def make_tokens(
    patching: Patching,
    linear: LinearForecast | None,
    group: Tensor,
    values: Tensor,
    observed: Tensor,
    starts: Tensor,
    cutoffs: Tensor,
    calendar: Tensor,
    covariates: Tensor | None = None,
) -> Tokens:
    """Cut patches out of rows and describe each as the forecaster may see it at its cut-off.

    Parameters
    ----------
    patching : Patching
    linear : LinearForecast or None
        Fitted on the scaled series. None: the tokens are to be read only, and nothing is forecast from them.
    group : Tensor of int64, shape (batch,)
        Group of each series in ``linear``.
    values, observed : Tensor, shape (batch, rows), float64 and bool
        Scaled series; zeros where not observed. Rows before column ``context_length`` are history.
    starts, cutoffs : Tensor of int64, shape (batch, tokens)
        Column of each patch's first row, and column of the first row not yet seen; at most
        ``patch_length`` apart, closer for a partial patch.
    calendar : Tensor, shape (batch, tokens, 2 × periods)
    covariates : Tensor, shape (batch, rows, n_covariates), optional
        Of the same rows as ``values``. Those of a patch's rows before its cut-off are features of its token,
        whether or not their values were observed; a token sees no others.

    Returns
    -------
    Tokens
    """
    level, scale = trailing_statistics(values, observed, cutoffs, patching.context_length)
    columns = starts.unsqueeze(-1) + torch.arange(patching.patch_length, device=values.device)
    read = columns < cutoffs.unsqueeze(-1)
    visible = _take(observed, columns) & read
    patch = (_take(values, columns) - level.unsqueeze(-1)) / scale.unsqueeze(-1)
    patch = torch.where(visible, patch, 0).clamp(-_CLIP, _CLIP)
    filled = (cutoffs - starts).to(values.dtype) / patching.patch_length
    # Not the level: what depends on where a series stands, and not on how it moves, fails when it drifts.
    beside = covariates if covariates is not None and patching.n_covariates else None
    described = torch.stack([scale.log(), filled], -1)
    features = torch.cat([patch, visible.to(values.dtype), described], -1).float()
    forecast = scale.new_zeros(*cutoffs.shape, 0, dtype=torch.float32)
    lowest = torch.full(cutoffs.shape, -torch.inf, dtype=torch.float64, device=values.device)
    if linear is not None:
        forecast, lowest = _linear_forecast(patching, linear, group, values, observed, cutoffs)
    if beside is not None:
        features = torch.cat([features, _covariate_patches(beside, columns, read)], -1)
    if beside is not None and linear is not None:
        forecast = forecast + linear.lags.forecast_torch(beside, cutoffs)
    return Tokens(
        features=torch.cat([features, calendar], -1),
        mask=visible.any(-1),
        scale=scale.float(),
        linear=forecast,
        lowest=lowest,
        gap=trailing_gap(observed, cutoffs, patching.context_length),
    )


def trailing_statistics(values: Tensor, observed: Tensor, cutoffs: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Mean and floored standard deviation of the observed rows in [cutoff − window, cutoff).

    Parameters
    ----------
    values, observed : Tensor, shape (batch, rows)
        Zeros where not observed.
    cutoffs : Tensor of int64, shape (batch, tokens)
        Where series get different numbers of rows, the padding of the shorter ones may lie past the end.
    window : int

    Returns
    -------
    mean, scale : Tensor, shape (batch, tokens)
        0 and 1 where nothing was observed.
    """
    cutoffs = cutoffs.clamp(max=values.shape[1])

    def sums(x: Tensor) -> Tensor:
        total = torch.nn.functional.pad(x.to(torch.float64).cumsum(-1), (1, 0))
        return total.gather(1, cutoffs) - total.gather(1, (cutoffs - window).clamp(min=0))

    count = sums(observed)
    mean = sums(values) / count.clamp(min=1)
    variance = (sums(values.square()) / count.clamp(min=1) - mean.square()).clamp(min=0)
    scale = torch.where(count > 1, (variance + SCALE_FLOOR**2).sqrt(), 1.0)
    return mean, scale


def _take(x: Tensor, columns: Tensor) -> Tensor:
    """x[b, columns[b, …]]; columns past the end read the last one (they are never visible)."""
    flat = columns.flatten(1).clamp(0, x.shape[1] - 1)
    return x.gather(1, flat).view(columns.shape)


def _covariate_patches(covariates: Tensor, columns: Tensor, read: Tensor) -> Tensor:
    """Covariates of the rows read of every patch, (batch, tokens, patch_length × n_covariates)."""
    flat = columns.flatten(1).clamp(0, covariates.shape[1] - 1)
    rows = covariates.gather(1, flat.unsqueeze(-1).expand(-1, -1, covariates.shape[2]))
    patches = rows.view(*columns.shape, covariates.shape[2])
    return torch.where(read.unsqueeze(-1), patches, 0).clamp(-_CLIP, _CLIP).flatten(2).float()


def _linear_forecast(
    patching: Patching,
    linear: LinearForecast,
    group: Tensor,
    values: Tensor,
    observed: Tensor,
    cutoffs: Tensor,
) -> tuple[Tensor, Tensor]:
    length = patching.context_length
    columns = cutoffs.unsqueeze(-1) - length + torch.arange(length, device=values.device)
    inside = columns >= 0
    window = torch.where(inside, _take(values, columns), 0).flatten(0, 1)
    seen = (_take(observed, columns) & inside).flatten(0, 1)
    forecast = linear(window.float(), seen, group.repeat_interleave(cutoffs.shape[1]))
    return forecast.view(*cutoffs.shape, forecast.shape[-1]), linear.lowest(window, seen).view(cutoffs.shape)
