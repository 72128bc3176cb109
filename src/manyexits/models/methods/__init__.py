"""Methods, one file each: `build_heads(features, classes, *, options)` and `loss(losses)`."""
