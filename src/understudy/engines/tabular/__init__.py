"""The tabular engine: many finite MDPs side by side, sampled, in compiled code; one episode an iteration."""
