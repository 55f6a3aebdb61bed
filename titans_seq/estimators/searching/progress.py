"""A search's progress, in a terminal: how far, the best so far, and how long it may still take."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from titans_seq.estimators.searching.best import best_trial
from titans_seq.estimators.searching.ledger import Ledger


class Progress:
    """A bar on standard error; nothing where that is no terminal."""

    def __init__(self, ledger: Ledger, shown: bool) -> None:
        self.ledger, self.shown = ledger, shown and sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> Self:
        if self.shown:
            from tqdm import tqdm

            done = self._done()
            self._bar = tqdm(total=self.ledger.n_trials, initial=done, unit="trial", desc="search", dynamic_ncols=True)
            self.update()
        return self

    def update(self) -> None:
        """Show what there is."""
        if self._bar is None:
            return
        trials = self.ledger.trials()
        failed = sum(trial.state.name == "FAIL" for trial in trials)
        best = best_trial(trials)
        words = {} if best is None else {"best": f"{best.values[0]:.5g} (trial {best.number})"}
        self._bar.set_postfix(words | ({"failed": failed} if failed else {}), refresh=False)
        self._bar.n = self._done()
        self._bar.refresh()

    def _done(self) -> int:
        return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in self.ledger.trials())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
