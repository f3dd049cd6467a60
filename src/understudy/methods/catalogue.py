"""The methods this library knows. To add one, add a row and its source."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from understudy.errors import ConfigurationError, MethodError, UnderstudyError, nearest
from understudy.methods.method import (
    CONTROLS,
    Control,
    Method,
    Part,
    Term,
    corrected,
    mixture,
    plus_task_reward,
)
from understudy.methods.q_method import Q_METHODS, QMethod, with_behaviour
from understudy.methods.schedule import parse

TEACHER, STUDENT = CONTROLS["teacher"], CONTROLS["student"]
FORWARD: Term = (Part(1, "forward-cross-entropy"),)
REWARD: Term = (Part(1, "task-reward"),)
TEACHER_LOG_PROB: Term = (Part(1, "teacher-log-prob"),)

TEACHER_DISTILL = Method(
    "teacher-distill",
    TEACHER,
    loss=FORWARD,
    gradient=True,
    objective="E_π Σ H(π‖πθ)",
    source="R15; C19 sec. 3",
)
ON_POLICY_DISTILL = Method("on-policy-distill", STUDENT, loss=FORWARD, gradient=False, source="C19 Theorem 1")
ENTROPY_REGULARISED = Method(
    "entropy-regularised",
    STUDENT,
    reward=TEACHER_LOG_PROB,
    gradient=True,
    objective="E_πθ Σ −log π(a)",
    source="C19 sec. 3",
)
KL_REGULARISED = Method(
    "kl-regularised",
    STUDENT,
    reward=(*TEACHER_LOG_PROB, Part(-1, "student-log-prob")),
    gradient=True,
    objective="E_πθ Σ KL(πθ‖π)",
    source="C19 sec. 4",
)
N_DISTILL = replace(corrected(ON_POLICY_DISTILL, "n-distill"), objective="E_πθ Σ H(π‖πθ)")
EXP_ENTROPY_REGULARISED = Method(
    "exp-entropy-regularised",
    STUDENT,
    loss=(Part(1, "reverse-cross-entropy"),),
    reward=(Part(1, "teacher-log-prob", later=True),),
    gradient=True,
    objective="E_πθ Σ −log π(a)",
    source="C19 sec. 3",
)
TEACHER_V_REWARD = Method(
    "teacher-v-reward",
    STUDENT,
    reward=(*REWARD, Part(1, "teacher-value", later=True), Part(-1, "teacher-value")),
    gradient=True,
    objective="−E_πθ Σ r",
    source="C19 sec. 4",
)
TEACHER_V_REWARD_PRINTED = Method(
    "teacher-v-reward-printed",
    STUDENT,
    reward=(*REWARD, Part(1, "teacher-value", later=True), Part(-1, "student-value")),
    gradient=False,
    source="C19 Table 1 as printed",
)
V_GATED = Method(
    "v-gated",
    STUDENT,
    loss=(Part(1, "gated-cross-entropy"),),
    reward=REWARD,
    gradient=False,
    source="C19 sec. 4",
)
TEACHER_CRITIC = Method(
    "teacher-critic",
    STUDENT,
    reward=(Part(1, "task-reward", credit=0), Part(1, "teacher-value", later=True, credit=0)),
    source="C19 sec. 4 (TD + V_T)",
)
STUDENT_CRITIC = Method(
    "student-critic",
    STUDENT,
    reward=(Part(1, "task-reward", credit=0), Part(1, "student-value", later=True, credit=0)),
    gradient=True,
    objective="−E_πθ Σ r",
    source="C19 sec. 4 (TD + V_S)",
    notes="a gradient field with the exact V_S",
)
TASK_REWARD = Method("task-reward", STUDENT, reward=REWARD, gradient=True, objective="−E_πθ Σ r", source="the baseline")

_ROWS = (
    TEACHER_DISTILL,
    ON_POLICY_DISTILL,
    ENTROPY_REGULARISED,
    KL_REGULARISED,
    N_DISTILL,
    EXP_ENTROPY_REGULARISED,
    TEACHER_V_REWARD,
    TEACHER_V_REWARD_PRINTED,
    V_GATED,
    TEACHER_CRITIC,
    STUDENT_CRITIC,
    TASK_REWARD,
)
_PLUS_R = (ON_POLICY_DISTILL, ENTROPY_REGULARISED, KL_REGULARISED, N_DISTILL, EXP_ENTROPY_REGULARISED)

METHODS: dict[str, Method] = {row.name: row for row in (*_ROWS, *(plus_task_reward(row) for row in _PLUS_R))}


Row = Method | QMethod
ROWS: dict[str, Row] = {**METHODS, **Q_METHODS}


def lookup(name: str) -> Row:
    """A row by its name, or from a TOML file as ``FILE.toml[:NAME]``."""
    if name in ROWS:
        return ROWS[name]
    path, _, row = name.partition(".toml")
    if path and ".toml" in name:
        return _pick(from_toml(f"{path}.toml"), row.removeprefix(":"), f"{path}.toml")
    raise ConfigurationError(f"unknown method {name!r}.{nearest(name, ROWS)} `understudy methods` lists them.")


def _pick(rows: dict[str, Row], name: str, path: str) -> Row:
    if not name and len(rows) == 1:
        return next(iter(rows.values()))
    if name in rows:
        return rows[name]
    raise ConfigurationError(f"{path} holds the methods {', '.join(rows)}; name one as {path}:NAME")


def parse_control(text: str) -> Control:
    """``teacher``, ``student``, ``uniform`` or ``mixture:BETA`` with a number or a schedule as BETA."""
    if text in CONTROLS:
        return CONTROLS[text]
    kind, _, beta = text.partition(":")
    if kind == "mixture" and beta:
        return mixture(parse(beta))
    known = (*CONTROLS, "mixture")
    raise ConfigurationError(
        f"control is teacher, student, uniform or mixture:BETA (say mixture:0.5 or mixture:linear:1:0), got "
        f"{text!r}.{nearest(kind, known)}"
    )


_METHOD_KEYS = {"control", "loss", "reward", "gradient", "objective", "source", "notes"}
_PART_KEYS = {"weight", "atom", "later", "credit"}
_Q_KEYS = {"distance", "weight", "td", "control", "epsilon", "source", "notes"}
_TYPES: dict[str, tuple[type, ...]] = {
    "control": (str,),
    "loss": (list,),
    "reward": (list,),
    "gradient": (bool,),
    "objective": (str,),
    "source": (str,),
    "notes": (str,),
    "weight": (int, float, str),
    "atom": (str,),
    "later": (bool,),
    "credit": (int, float),
    "distance": (str,),
    "td": (int, float, str),
    "epsilon": (int, float, str),
}


def from_toml(path: str | Path) -> dict[str, Row]:
    """Rows from a file: one table a row, named by its header; parts are ``{weight, atom, later, credit}``.

    A table with ``distance`` or ``td`` is a row of action values: ``distance``, ``weight``, ``td``, ``control``,
    ``epsilon``.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"no such file: {path}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    if not tables or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigurationError(f"{path}: expected one table a method, such as [my-method]")
    return {name: _row(name, table, path) for name, table in tables.items()}


def _row(name: str, table: dict[str, object], path: str | Path) -> Row:
    if "distance" in table or "td" in table:
        return _q_row(name, table, path)
    _known(table, _METHOD_KEYS, f"{path}: [{name}]")
    words = {key: table[key] for key in ("gradient", "objective", "source", "notes") if key in table}
    try:
        loss, reward = (
            tuple(_part(part, side) for part in table.get(side, ()))  # type: ignore[attr-defined]
            for side in ("loss", "reward")
        )
        control = parse_control(str(table.get("control", "student")))
        return Method(name, control, loss, reward, **{"source": str(path), **words})  # type: ignore[arg-type]
    except UnderstudyError as error:
        raise type(error)(f"{path}: [{name}]: {error}") from None


def _q_row(name: str, table: dict[str, object], path: str | Path) -> QMethod:
    _known(table, _Q_KEYS, f"{path}: [{name}]")
    words = {key: str(table[key]) for key in ("distance", "source", "notes") if key in table}
    try:
        weights = {key: parse(str(table[key])) for key in ("weight", "td", "epsilon") if key in table}
        epsilon = weights.pop("epsilon", None)
        row = QMethod(name, **weights, **({"source": str(path)} | words))  # type: ignore[arg-type]
        return with_behaviour(row, parse_control(str(table.get("control", "student"))), epsilon)
    except UnderstudyError as error:
        raise type(error)(f"{path}: [{name}]: {error}") from None


def _part(entry: object, where: str) -> Part:
    if not isinstance(entry, dict) or "atom" not in entry:
        raise MethodError(f"{where}: a part is a table with an atom, got {entry!r}")
    _known(entry, _PART_KEYS, where)
    return Part(
        parse(entry.get("weight", 1.0)), entry["atom"], entry.get("later", False), float(entry.get("credit", 1))
    )


def _known(table: dict[str, object], keys: set[str], where: str) -> None:
    for key, value in table.items():
        if key not in keys:
            raise ConfigurationError(f"{where}: unknown key {key!r}.{nearest(key, keys)}")
        if not isinstance(value, _TYPES[key]) or (isinstance(value, bool) and bool not in _TYPES[key]):
            names = " or ".join(kind.__name__ for kind in _TYPES[key])
            raise ConfigurationError(f"{where}: {key} must be {names}, got {value!r}")
