"""A run: what is trained, its folder, its checkpoints, and what another run takes over."""
