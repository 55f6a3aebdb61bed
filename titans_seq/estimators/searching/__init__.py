"""Search over arguments of estimators: what `TitansSearch` and `titans-seq tune` share."""
