"""The likeliest classes of video files."""
