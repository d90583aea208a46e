"""Pure values and decisions: no IO, no clock, no environment. Everything here can be tested with a literal."""
