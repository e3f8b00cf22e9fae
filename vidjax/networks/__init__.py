"""Whole networks: input representation, backbone, head."""
