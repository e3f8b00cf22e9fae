"""Data sets, sampling, decoding, augmentation, loading."""
