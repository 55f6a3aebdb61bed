"""A fit that starts from an earlier forecaster with covariates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from covariate_frames import ROLES, after, before, moved_by_covariates

from titans_seq import TitansForecaster

Make = Callable[..., TitansForecaster]


@pytest.fixture
def saved(make: Make, tmp_path: Path) -> Path:
    make(roles=ROLES, max_epochs=0).fit(before(moved_by_covariates(n_series=6), 220)).save(tmp_path / "model")
    return tmp_path / "model"


def short_history(rows: int = 30) -> pd.DataFrame:
    """Another shop: its prices do what prices did in the others, on another level."""
    frame = moved_by_covariates(rows=80, n_series=1, seed=5).assign(unique_id="new", kind="x")
    return frame.assign(y=frame["y"] * 10)


def test_effects_of_covariates_are_taken_over_by_a_short_series(make: Make, saved: Path) -> None:
    data = short_history()
    tuned = make(max_epochs=0).fit(before(data, 30), init=saved)
    scratch = make(roles=ROLES, max_epochs=0).fit(before(data, 30))
    error = {}
    for name, model in (("tuned", tuned), ("scratch", scratch)):
        parts = []
        for cut in range(30, 72, 6):
            forecast = model.predict(before(data, cut), future=after(data, cut, 6))["TitansForecaster"].to_numpy()
            parts.append(np.square(forecast - after(data, cut, 6)["y"].to_numpy()))
        error[name] = float(np.mean(parts))
    assert error["tuned"] < 0.7 * error["scratch"]
    assert set(tuned.effect_) <= {"price", "price²", "promo"} and tuned.effect_


def test_the_same_roles_in_any_order_are_fine_and_what_was_learned_of_columns_stays(make: Make, saved: Path) -> None:
    earlier = TitansForecaster.load(saved)
    roles = dict(reversed(ROLES.items()))
    tuned = make(roles=roles, max_epochs=1).fit(before(short_history(), 60), init=earlier)
    assert tuned._covariates == earlier._covariates
    new_kind = before(short_history(), 60).assign(kind="never seen")
    assert make(max_epochs=0).fit(new_kind, init=earlier).make_future_frame().columns[2:].tolist() == ["price", "promo"]
    tuned.save(saved.parent / "tuned")
    ahead = after(short_history(), 60, 6)
    pd.testing.assert_frame_equal(
        TitansForecaster.load(saved.parent / "tuned").predict(future=ahead), tuned.predict(future=ahead)
    )


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({**ROLES, "price": "past"}, r"'price' is 'past', there it is 'future'"),
        ({**ROLES, "y2": "past"}, r"'y2' is not among those of init"),
        ({name: role for name, role in ROLES.items() if name != "lead"}, r"init: 'lead' is missing; leave roles= out"),
        ({}, r"'price' is missing; 'promo' is missing"),
    ],
)
def test_other_roles_are_refused_by_column(make: Make, saved: Path, roles: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(roles=roles, max_epochs=0).fit(short_history(), init=saved)


def test_a_column_of_the_earlier_roles_that_the_data_lack_is_named(make: Make, saved: Path) -> None:
    with pytest.raises(ValueError, match="the frame has no column 'price'"):
        make(max_epochs=0).fit(short_history().drop(columns="price"), init=saved)
    plain = make(max_epochs=0).fit(before(moved_by_covariates(), 220))
    with pytest.raises(ValueError, match="'price' is not among those of init"):
        make(roles=ROLES, max_epochs=0).fit(short_history(), init=plain)
