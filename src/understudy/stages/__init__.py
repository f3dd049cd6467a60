"""Staged training: one policy, one task after the other, held to what it could do before."""
