"""Reading series as streams: a state that is carried from one row to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from titans_seq.adapters.calendar import calendar_features
from titans_seq.adapters.series import Correction, SeriesModel
from titans_seq.adapters.tokens import LinearForecast, Tokens, make_tokens
from titans_seq.data.frequency import Frequency
from titans_seq.nn import BackboneState

_OWN = ("hidden", "values", "observed", "covariates", "phase", "steps")


@dataclass(frozen=True)
class SeriesStream:
    """All that is kept of a batch of series; its size does not depend on how much was read.

    Attributes
    ----------
    backbone : BackboneState
        After the last complete patch of each series.
    hidden : Tensor, shape (n_series, d_model)
        Output of the backbone at that patch.
    values, observed : Tensor, shape (n_series, context_length + patch_length), float64 and bool
        The last rows, scaled; older ones are gone.
    covariates : Tensor, shape (n_series, context_length + patch_length, n_covariates), float32
        Of the same rows.
    phase : Tensor of int64, shape (n_series,)
        Rows of each series that wait in an open patch.
    steps : Tensor of int64, shape (n_series,)
        Rows read in all.
    """

    backbone: BackboneState
    hidden: Tensor
    values: Tensor
    observed: Tensor
    covariates: Tensor
    phase: Tensor
    steps: Tensor

    @property
    def n_series(self) -> int:
        """Number of series."""
        return self.phase.shape[0]

    def select(self, rows: Tensor) -> SeriesStream:
        """Return the streams of some series, in this order; one may be named more than once."""
        own = {n: getattr(self, n)[rows] for n in _OWN}
        return SeriesStream(backbone=self.backbone.select(rows), **own)

    @staticmethod
    def stack(streams: Sequence[SeriesStream]) -> SeriesStream:
        """Return the streams of several batches as one."""
        own = {n: torch.cat([getattr(s, n) for s in streams]) for n in _OWN}
        return SeriesStream(backbone=BackboneState.stack([s.backbone for s in streams]), **own)

    def push(
        self,
        values: Tensor,
        observed: Tensor,
        covariates: Tensor | None,
        lengths: Tensor,
        advanced: Tensor,
        patch_length: int,
    ) -> SeriesStream:
        """Move the kept rows on by ``lengths`` new ones, left-aligned, as the stream advances by ``advanced``."""
        columns = lengths[:, None] + torch.arange(self.values.shape[1], device=values.device)
        beside = self.with_rows(covariates, values.shape[1])
        return replace(
            self,
            values=torch.cat([self.values, values.to(self.values)], 1).gather(1, columns),
            observed=torch.cat([self.observed, observed], 1).gather(1, columns),
            covariates=beside.gather(1, columns.unsqueeze(-1).expand(-1, -1, beside.shape[2])),
            phase=(self.phase + advanced) % patch_length,
            steps=self.steps + advanced,
        )

    def with_rows(self, covariates: Tensor | None, rows: int) -> Tensor:
        """Return the covariates of the kept rows and of as many new ones; None: there are no covariates."""
        if covariates is None:
            covariates = self.covariates.new_zeros(self.n_series, rows, self.covariates.shape[2])
        return torch.cat([self.covariates, covariates.to(self.covariates)], 1)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor under a flat name, for saving."""
        own = {f"stream.{n}": getattr(self, n) for n in _OWN}
        return own | {f"stream.backbone.{name}": x for name, x in self.backbone.tensors().items()}

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> SeriesStream:
        """Rebuild from `tensors`."""
        prefix = "stream.backbone."
        backbone = {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
        own = {n: tensors[f"stream.{n}"] for n in _OWN if f"stream.{n}" in tensors}
        if "covariates" not in own:  # streams saved before there were covariates
            own["covariates"] = torch.zeros(*own["values"].shape, 0)
        return SeriesStream(backbone=BackboneState.from_tensors(backbone), **own)


@dataclass(frozen=True)
class Reads:
    """What was seen on the way: one entry per complete patch of the rows read.

    Attributes
    ----------
    hidden : Tensor, shape (n_series, patches, d_model)
    tokens : Tokens
    counts : Tensor of int64, shape (n_series,)
        Patches each series completed; entries beyond are padding.
    surprise : Tensor or None, shape (n_series, patches)
        How far the memories were from each patch, if asked for; NaN for a patch of which nothing was observed.
    """

    hidden: Tensor
    tokens: Tokens
    counts: Tensor
    surprise: Tensor | None = None


class StreamReader:
    """Feeds rows of series to a `SeriesModel`; holds no state itself.

    Parameters
    ----------
    model : SeriesModel
    linear : LinearForecast
    frequency : Frequency
        For the calendar features.
    """

    def __init__(self, model: SeriesModel, linear: LinearForecast, frequency: Frequency) -> None:
        self.model, self.linear, self.frequency = model, linear, frequency
        self.patching = model.patching

    @torch.no_grad()
    def start(self, n_series: int) -> SeriesStream:
        """Return the streams of series of which nothing was read."""
        weight = self.model.encoder.weight
        rows = self.patching.context_length + self.patching.patch_length
        zeros = torch.zeros(n_series, dtype=torch.int64, device=weight.device)
        return SeriesStream(
            backbone=self.model.backbone.init_state(n_series),
            hidden=weight.new_zeros(n_series, weight.shape[0]),
            values=torch.zeros(n_series, rows, dtype=torch.float64, device=weight.device),
            observed=torch.zeros(n_series, rows, dtype=torch.bool, device=weight.device),
            covariates=torch.zeros(n_series, rows, self.patching.n_covariates, device=weight.device),
            phase=zeros,
            steps=zeros,
        )

    def read(
        self,
        stream: SeriesStream,
        values: Tensor,
        observed: Tensor,
        lengths: Tensor,
        origins: object,
        group: Tensor,
        *,
        covariates: Tensor | None = None,
        zero_memory: bool = False,
        surprise: bool = False,
        forecast: bool = True,
    ) -> tuple[SeriesStream, Reads]:
        """Read new rows, left-aligned, ``lengths`` of them for each series.

        Parameters
        ----------
        stream : SeriesStream
        values, observed : Tensor, shape (n_series, rows)
            Scaled series; zeros where not observed.
        lengths : Tensor of int64, shape (n_series,)
        origins : array (n_series,)
            Timestamp of the first row of each series' stream.
        group : Tensor of int64, shape (n_series,)
            Group of each series in the linear map.
        covariates : Tensor, shape (n_series, rows, n_covariates), optional
            Of the new rows. Default: there are none, or all are 0.
        zero_memory : bool
            Ablation: what the memories return is replaced by zeros.
        surprise : bool
            Also say how far the memories were from each patch; the variant must have a memory.
        forecast : bool
            Whether the tokens are to hold the linear forecast from each patch, which can cost more than reading.

        Returns
        -------
        SeriesStream, Reads
        """
        p, kept = self.patching.patch_length, stream.values.shape[1]
        all_values = torch.cat([stream.values, values.to(torch.float64)], 1)
        all_observed = torch.cat([stream.observed, observed], 1)
        beside = stream.with_rows(covariates, values.shape[1])
        counts = (stream.phase + lengths) // p
        n_tokens = int(counts.max())
        starts = (kept - stream.phase)[:, None] + p * torch.arange(n_tokens, device=values.device)
        ahead = stream.steps[:, None] + (starts + p - kept)
        rows = (all_values, all_observed, beside)
        tokens = self._tokens(rows, starts, starts + p, ahead, origins, group, forecast)
        read = self.model.read_with_surprise if surprise else self.model.read
        hidden, backbone, *surprises = read(tokens, stream.backbone, lengths=counts, zero_memory=zero_memory)
        new = replace(
            stream.push(values, observed, covariates, lengths, lengths, p),
            backbone=backbone,
            hidden=_last(hidden, counts, stream.hidden),
        )
        return new, Reads(hidden, tokens, counts, *surprises)

    @torch.no_grad()
    def forecast_now(
        self,
        stream: SeriesStream,
        origins: object,
        group: Tensor,
        *,
        zero_memory: bool = False,
        open_rows: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Correction, Tensor]:
        """Forecast from the rows read so far; rows in an open patch are read by a copy that is not kept.

        Parameters
        ----------
        stream : SeriesStream
        origins, group, zero_memory
            As in `read`.
        open_rows : Tensor of int64, shape (n_series,), optional
            Rows of the open patch to forecast from, as if the later ones had not been read: at most ``phase``.
            Default: all of them.

        Returns
        -------
        linear : Tensor, shape (n_series, horizon)
            Closed-form forecast, scaled units.
        lowest : Tensor, shape (n_series,)
            Value below which no forecast may fall, see `Tokens`.
        correction : Correction, each tensor (n_series, horizon)
        gap : Tensor of int64, shape (n_series,)
            Missing rows since the last observed one.
        """
        seen = stream.phase if open_rows is None else open_rows
        boundary = stream.values.shape[1] - stream.phase
        end = (boundary + seen)[:, None]
        starts = torch.where(seen > 0, boundary, boundary - self.patching.patch_length)[:, None]
        steps = (stream.steps - stream.phase + seen)[:, None]
        rows = (stream.values, stream.observed, stream.covariates)
        tokens = self._tokens(rows, starts, end, steps, origins, group)
        partial = (seen > 0).to(torch.int64)
        hidden = stream.hidden
        if bool(partial.any()):
            read, _ = self.model.read(tokens, stream.backbone, lengths=partial, zero_memory=zero_memory)
            hidden = torch.where(partial.bool()[:, None], read[:, 0].to(hidden.dtype), hidden)
        correction = self.model.correct(hidden, tokens.scale[:, 0])
        return tokens.linear[:, 0], tokens.lowest[:, 0], correction, tokens.gap[:, 0]

    def _tokens(
        self,
        rows: tuple[Tensor, Tensor, Tensor],
        starts: Tensor,
        cutoffs: Tensor,
        steps: Tensor,
        origins: object,
        group: Tensor,
        forecast: bool = True,
    ) -> Tokens:
        values, observed, covariates = rows
        calendar = calendar_features(self.frequency, self.patching.periods, origins, steps.cpu().numpy())  # type: ignore[arg-type]
        return make_tokens(
            self.patching,
            self.linear if forecast else None,
            group,
            values,
            observed,
            starts,
            cutoffs,
            torch.from_numpy(calendar).to(values.device),
            covariates,
        )


def _last(hidden: Tensor, counts: Tensor, before: Tensor) -> Tensor:
    """Hidden state at each row's last complete patch, or the one from before if there was none."""
    if hidden.shape[1] == 0:
        return before
    at = (counts - 1).clamp(min=0)[:, None, None].expand(-1, 1, hidden.shape[-1])
    return torch.where((counts > 0)[:, None], hidden.gather(1, at)[:, 0].to(before.dtype), before)


def detach(stream: SeriesStream) -> SeriesStream:
    """Cut a stream off from the graph that made it."""
    return replace(stream, backbone=stream.backbone.detach(), hidden=stream.hidden.detach())
