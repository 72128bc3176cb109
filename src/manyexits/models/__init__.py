"""Networks: backbones as stages, methods on them, what they cost and what they answer."""
