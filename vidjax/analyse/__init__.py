"""Pictures and tables that explain a network."""
