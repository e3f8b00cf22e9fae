"""Tables and figures of dte at mini scale."""
