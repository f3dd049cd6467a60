"""The rival: DAgger of the `imitation` library, with its behaviour cloning as the fit."""

import tempfile
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
from imitation.algorithms.bc import BC
from imitation.algorithms.dagger import LinearBetaSchedule, SimpleDAggerTrainer
from imitation.util import logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from tasks import Meter, Task, arguments, open_task

ROUND = 250  # environment steps of a round at least; whole episodes in each environment, so often more


class Settings(NamedTuple):
    """What was found best for a task, for both students together."""

    fit: dict[str, int]  # of every round, over all the data: n_batches or n_epochs
    batch: int
    rate: float
    envs: int = 2


SETTINGS = {
    "cartpole": Settings({"n_batches": 100}, 128, 1e-2),
    "lunarlander": Settings({"n_batches": 100}, 128, 1e-2),
    "pendulum": Settings({"n_epochs": 4}, 64, 1e-2),
    "halfcheetah": Settings({"n_batches": 300}, 128, 3e-3),
}


class Metered(DummyVecEnv):
    """Environments that tell the meter what they cost."""

    def __init__(self, task: Task, count: int, meter: Meter) -> None:
        super().__init__([task.make] * count)
        self.meter = meter

    def step_wait(self) -> Any:
        seen, rewards, dones, infos = self.meter.env(self.num_envs, super().step_wait)
        # imitation writes every info to disk as JSON, dearer than all else: leave it only what it reads again
        kept = [{key: info[key] for key in ("terminal_observation",) if key in info} for info in infos]
        return seen, rewards, dones, kept

    def reset(self) -> Any:
        return self.meter.env(0, super().reset)


def main() -> None:
    """Distil, a round at a time, until the meter says stop."""
    args = arguments(__doc__)
    datasets.disable_progress_bars()
    task = open_task(args.task, args.teachers)
    torch.manual_seed(args.seed)  # only now: loading the teacher seeds PyTorch
    meter, settings = Meter(task, args), SETTINGS[args.task]
    venv: VecEnv = Metered(task, settings.envs, meter)
    venv.seed(args.seed * 1000)
    if task.normaliser:
        task.normaliser.set_venv(venv)
        venv = task.normaliser
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        with meter.training():
            spaces: dict[str, Any] = {
                "observation_space": venv.observation_space,
                "action_space": venv.action_space,
            }
            layers = {"pi": [*map(int, args.student.split(","))], "vf": []}
            student = ActorCriticPolicy(**spaces, lr_schedule=lambda _: settings.rate, net_arch=layers)
            adam = {"lr": settings.rate, "fused": True}
            silent = logger.configure(scratch, format_strs=[])
            fit = BC(
                **spaces,
                rng=rng,
                policy=student,
                batch_size=settings.batch,
                optimizer_kwargs=adam,
                device="cpu",
                custom_logger=silent,
            )
            trainer = SimpleDAggerTrainer(
                venv=venv,
                scratch_dir=scratch,
                expert_policy=task.teacher,
                rng=rng,
                beta_schedule=LinearBetaSchedule(1),  # the teacher acts in the first round only
                bc_trainer=fit,
                custom_logger=silent,
            )
        fitting: dict[str, Any] = {**settings.fit, "progress_bar": False, "log_rollouts_venv": None}
        least = {"rollout_round_min_episodes": 1, "rollout_round_min_timesteps": ROUND}
        while True:
            with meter.training():  # one round
                trainer.train(1, **least, bc_train_kwargs=fitting)
            if meter.finished(lambda seen: student.predict(seen, deterministic=True)[0]):
                break
    meter.report("imitation DAgger")


if __name__ == "__main__":
    main()
