"""manyexits: train, calibrate and compare networks that can answer early."""

__version__ = "0.1.0"
