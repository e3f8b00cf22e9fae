"""What happens when in a long film or before a camera: scores over time, spans of classes, and files that show them."""
