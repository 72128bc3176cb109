"""Samples as a step of training sees them: drawn by counters, cut, augmented and mixed as batches on the device."""
