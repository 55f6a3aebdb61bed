"""The linear map in torch, for use on training batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from titans_seq.adapters._linear_fill import Centring, check_centring
from titans_seq.adapters._linear_gaps import fill_by_forecasts_torch

if TYPE_CHECKING:
    from torch import Tensor


def fill_window_torch(values: Tensor, observed: Tensor) -> Tensor:
    """Fill what a window lacks from the window itself, forwards; `fill_window` in torch.

    Parameters
    ----------
    values : float tensor (n, length)
        Whatever stands where `observed` is False (NaN too) is ignored and gets no gradient.
    observed : bool tensor (n, length)

    Returns
    -------
    float tensor (n, length)
    """
    import torch

    steps = torch.arange(values.shape[1], device=values.device).expand_as(observed)
    latest = torch.where(observed, steps, -1).cummax(dim=1).values
    first = observed.int().argmax(dim=1, keepdim=True)
    filled = values.gather(1, torch.where(latest >= 0, latest, first))
    return torch.where(observed.any(dim=1, keepdim=True), filled, 0.0)


def linear_predict_torch(
    weights: Tensor,
    bias: Tensor,
    centring: Centring,
    values: Tensor,
    observed: Tensor,
    group: Tensor | None = None,
    *,
    fill_steps: int = 0,
) -> Tensor:
    """Forecast the rows after each window; `LinearMap.predict` in torch.

    Parameters
    ----------
    weights, bias : float tensors (G, L, H) and (G, H)
        Converted to the dtype and device of `values`.
    centring : {"none", "last", "mean"}
    values, observed : float and bool tensors (n, L)
        Windows in scaled units.
    group : int tensor (n,), optional
        Series of each window; needed unless G is 1.
    fill_steps : int, default 0
        See `LinearMap`.

    Returns
    -------
    float tensor (n, H)

    Raises
    ------
    ValueError
        Unknown centring, or no `group` where there are several maps.
    """
    import torch

    check_centring(centring)
    weights, bias = weights.to(values), bias.to(values)
    if group is None:
        if len(weights) > 1:
            raise ValueError(f"there are weights for each of {len(weights)} series; pass group")
        group = values.new_zeros(len(values), dtype=torch.int64)
    filled = fill_window_torch(values, observed)
    if fill_steps:
        filled = fill_by_forecasts_torch(filled, observed, weights, bias, centring, fill_steps, group)
        observed = observed.cummax(1).values
    level = _level(filled, observed, centring)
    centred = filled - level
    if len(weights) == 1:
        return level + bias[0] + centred @ weights[0]
    # One product per series: weights[group] would hold n x L x H entries.
    forecast = bias[group]
    for i in group.unique():
        rows = (group == i).nonzero().squeeze(1)
        forecast = forecast.index_add(0, rows, centred[rows] @ weights[i])
    return level + forecast


def _level(filled: Tensor, observed: Tensor, centring: Centring) -> Tensor:
    """Return the level of each window, shape (n, 1)."""
    if centring == "last":
        return filled[:, -1:]
    if centring == "none":
        return filled.new_zeros(len(filled), 1)
    count = observed.sum(dim=1, keepdim=True).clamp(min=1)
    return (filled * observed).sum(dim=1, keepdim=True) / count
