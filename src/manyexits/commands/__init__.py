"""What a person types: every verb that no rule calls."""
