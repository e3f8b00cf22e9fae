"""Tables and figures of rtsae at mini scale."""
