"""A page to look at: a film in, its likeliest classes and pictures of why."""
