"""What training, evaluation and analysis share: the forward pass, devices, processes, transforms of batches."""
