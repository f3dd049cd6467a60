"""Planar air combat: ``understudy/Pursuit-v0``, ``understudy/Evasion-v0`` and ``understudy/Combat-v0``.

One world, three tasks with the same observations and actions: chase an enemy, dodge its missiles, do both. Everything
is in SI units: metres, seconds, radians anticlockwise from east. See docs/flight.md.
"""
