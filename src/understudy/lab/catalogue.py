"""The experiments' names and where each is found. Nothing heavy is imported here: the command line's help reads it."""

EXPERIMENTS = {
    "cycle": "understudy.lab.cycle:CYCLE",
    "control": "understudy.lab.control:CONTROL",
    "update-rules": "understudy.lab.update_rules:UPDATE_RULES",
    "imperfect-teacher": "understudy.lab.imperfect_teacher:IMPERFECT_TEACHER",
    "corridor": "understudy.lab.corridor:CORRIDOR",
    "worlds": "understudy.lab.worlds:WORLDS",
    "propositions": "understudy.lab.propositions:PROPOSITIONS",
    "gradient-fields": "understudy.lab.gradient_fields:GRADIENT_FIELDS",
    "networks": "understudy.lab.networks:NETWORKS",
    "linear-quadratic": "understudy.lab.linear_quadratic:LINEAR_QUADRATIC",
}
"""In the order of the paper, then what it leaves open; a module is loaded when its experiment is asked for."""
