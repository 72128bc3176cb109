"""One training: its job and ranks, its phases and steps, its checkpoints. torch and accelerate stand here."""
