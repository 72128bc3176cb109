"""Datasets and weights as their publishers ship them, and what `prepare` makes of them."""
