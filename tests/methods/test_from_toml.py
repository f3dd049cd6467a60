"""Rows from a file: the whole catalogue there and back, and every mistake with its place and its fix."""

import pytest

from understudy.errors import ConfigurationError, UnderstudyError
from understudy.methods import METHODS, from_toml, lookup, with_weights
from understudy.methods.schedule import Schedule


def written(row):
    """A row as a person would write it."""

    def part(p):
        weight = f'"{p.weight}"' if isinstance(p.weight, Schedule) else p.weight
        return f'{{weight = {weight}, atom = "{p.atom}", later = {str(p.later).lower()}, credit = {p.credit}}}'

    lines = [f'["{row.name}"]', f'control = "{row.control}"']
    lines += [f"{side} = [{', '.join(map(part, getattr(row, side)))}]" for side in ("loss", "reward")]
    if row.gradient is not None:
        lines.append(f"gradient = {str(row.gradient).lower()}")
    lines += [f'objective = "{row.objective}"', f'source = "{row.source}"']
    return "\n".join(lines)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.toml"


def test_the_whole_catalogue_goes_there_and_back(path):
    path.write_text("\n\n".join(map(written, METHODS.values())), encoding="utf-8")
    assert from_toml(path) == METHODS


def test_a_scheduled_weight_goes_there_and_back(path):
    row = with_weights(METHODS["on-policy-distill+r"], loss=Schedule("linear", 1.0, 0.0, 0.5))
    path.write_text(written(row), encoding="utf-8")
    assert from_toml(path)[row.name] == row


def test_a_row_is_found_by_its_file_and_its_name(path):
    one = '[one]\nloss = [{atom = "forward-kl"}]\n'
    path.write_text(one)
    assert lookup(str(path)).loss[0].atom == "forward-kl"
    path.write_text(one + '[two]\nreward = [{atom = "task-reward"}]\n')
    assert lookup(f"{path}:two").reward[0].atom == "task-reward"
    with pytest.raises(ConfigurationError, match=r"holds the methods one, two; name one as .*mine.toml:NAME"):
        lookup(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss = 1", r"expected one table a method, such as \[my-method\]"),
        ("", r"expected one table a method"),
        ("[m", "is not valid TOML"),
        ("[m]\n", r"\[m\]: m: a method needs a loss or a reward term"),
        ("[m]\nlos = []", r"\[m\]: unknown key 'los'. Did you mean 'loss'\?"),
        ("[m]\nloss = 3", r"\[m\]: loss must be list, got 3"),
        ('[m]\nloss = ["forward-kl"]', "loss: a part is a table with an atom, got 'forward-kl'"),
        ('[m]\nloss = [{atom = "forward"}]', r"\[m\]: unknown atom 'forward'"),
        ('[m]\nloss = [{atom = "forward-kl", wieght = 2}]', r"loss: unknown key 'wieght'. Did you mean 'weight'\?"),
        ('[m]\nloss = [{atom = "forward-kl", weight = [1]}]', r"weight must be int or float or str, got \[1\]"),
        ('[m]\nloss = [{atom = "forward-kl", weight = "linear:1"}]', "expected a number or SHAPE:START:END"),
        ('[m]\nloss = [{atom = "forward-kl", weight = nan}]', "must be finite"),
        ('[m]\nloss = [{atom = "forward-kl", later = "false"}]', "later must be bool, got 'false'"),
        ('[m]\nloss = [{atom = "forward-kl", credit = true}]', "credit must be int or float, got True"),
        ('[m]\nreward = [{atom = "task-reward", credit = "all"}]', "credit must be int or float, got 'all'"),
        ('[m]\ncontrol = "teacher"\nreward = [{atom = "task-reward"}]', "needs the student to act"),
        ('[m]\ngradient = "yes"\nloss = [{atom = "forward-kl"}]', "gradient must be bool, got 'yes'"),
    ],
)
def test_a_mistake_in_a_file_is_refused_with_its_place(path, text, message):
    path.write_text(text)
    with pytest.raises(UnderstudyError, match=message) as caught:
        from_toml(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_cannot_be_read_is_refused(path, tmp_path):
    with pytest.raises(ConfigurationError, match="no such file"):
        from_toml(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        from_toml(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        from_toml(path)
