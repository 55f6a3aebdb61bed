"""Forecast figures: what is drawn and what is refused."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest

from titans_seq.evaluation import ForecastPanel, plot_forecast
from titans_seq.evaluation import plots as drawing


def panel(name="a", n=40, horizon=8, *, start="2024-01-30", step="h", **extra):
    times = np.datetime64(start) + np.arange(n + horizon) * np.timedelta64(1, step)
    values = np.sin(np.arange(n + horizon) / 3)
    return ForecastPanel(name, times[:n], values[:n], times[n:], values[n:] + 0.1, **extra)


def full_panel(name="a", **options):
    bounds = np.zeros(8) - 1, np.ones(8)
    return panel(
        name,
        actual=np.r_[np.nan, np.ones(7)],
        intervals={80: bounds, 95: bounds},
        others={"Seasonal naive": np.zeros(8)},
        **options,
    )


def size(path):
    return matplotlib.image.imread(path).shape


@pytest.mark.parametrize(("n_panels", "rows"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (6, 3)])
def test_one_to_six_series_make_a_figure_of_ten_inches(tmp_path, n_panels, rows):
    path = plot_forecast(tmp_path / "f.png", [full_panel(f"series {i}") for i in range(n_panels)], title="T", dpi=50)
    height, width, _ = size(path)
    assert width == 500
    assert height == pytest.approx(50 * ({1: 3.6, 2: 2.7, 3: 2.4}[rows] * rows + 0.8), abs=1)


@pytest.mark.parametrize(
    ("start", "step", "n"),
    [
        ("2024-01-30", "s", 300),
        ("2024-01-30", "m", 99),
        ("2024-01-30", "h", 500),
        ("2019-12-01", "D", 60),
        ("2000-01-01", "W", 900),
        ("1950-01", "M", 200),
        ("1900", "Y", 120),
    ],
)
def test_every_frequency_gets_readable_dates_without_a_warning(tmp_path, start, step, n):
    one = full_panel(start=start, step=step, n=n)
    figure, axes = drawing._grid(1, 1)
    drawing._draw(axes[0], one)
    figure.savefig(tmp_path / "f.png", dpi=50)
    labels = [tick.get_text() for tick in axes[0].get_xticklabels()]
    assert 2 <= len([label for label in labels if label]) <= 12


def test_integer_times_missing_history_and_a_bare_forecast_are_drawn(tmp_path):
    history = np.r_[np.ones(5), np.nan, np.ones(4)]
    one = ForecastPanel("b", np.arange(10), history, np.arange(10, 12), np.ones(2))
    assert size(plot_forecast(tmp_path / "f.png", [one], dpi=50))[1] == 500


def test_the_panel_shows_every_line_and_the_cut_off_between_history_and_forecast():
    _, axes = drawing._grid(1, 1)
    one = ForecastPanel(
        "b",
        np.arange(10),
        np.ones(10),
        np.arange(10, 12),
        np.ones(2),
        actual=[2.0, 3.0],
        intervals={90: ([0.0, 0.0], [4.0, 4.0])},
        others={"Naive": [1.0, 1.0]},
    )
    drawing._draw(axes[0], one)
    lines = {line.get_label(): line for line in axes[0].get_lines()}
    assert set(lines) == {"History", "Actual", "Naive", "Forecast", "Cut-off"}
    assert lines["Cut-off"].get_xdata()[0] == 9.5
    assert lines["Actual"].get_ydata().tolist() == [1.0, 2.0, 3.0]
    assert [patch.get_label() for patch in axes[0].collections] == ["90 % interval"]


def test_more_than_six_series_are_announced_in_the_title(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(drawing, "_add_heading", lambda figure, axes, title: titles.append((len(axes), title)))
    plot_forecast(tmp_path / "f.png", [panel(str(i)) for i in range(9)], title="Sales", dpi=50)
    assert titles == [(6, "Sales (6 of 9 series)")]


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a: actual has shape \(3,\), its times \(8,\)"):
        panel(actual=np.ones(3))
    with pytest.raises(ValueError, match=r"a: lower bound at 80 % has shape \(1,\)"):
        panel(intervals={80: (np.ones(1), np.ones(8))})
    with pytest.raises(ValueError, match="a: the forecast is empty"):
        ForecastPanel("a", [1], [1.0], [], [])
    with pytest.raises(ValueError, match="at least one series"):
        plot_forecast(tmp_path / "f.png", [])
    assert not (tmp_path / "f.png").exists()
