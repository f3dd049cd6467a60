"""The words that pages use, for a reader who has never seen the project.

Of the lab, of a run, of a comparison, of training in stages.
"""

RECOVERED = "(student's return - random policy's) / (teacher's - random policy's): 0 is no better than random, "

LAB = {
    "Teacher π, student πθ": "A policy gives each action's probability in a state. Distillation trains the student to "
    "act as the teacher does, or as well.",
    "World, MDP": "A small problem with finitely many states and actions whose transition probabilities are known. "
    "Most figures are means over many worlds drawn at random.",
    "Iteration": "One batch of episodes (one episode where nothing else is said) and the update that it gives.",
    "Return": "The sum of an episode's rewards, in expectation; computed from the world's equations, not sampled, "
    "where nothing else is said.",
    "Recovered": RECOVERED + "1 the whole of the teacher.",
    "H(π‖πθ), H(πθ‖π)": "Cross-entropies; the expectation is over the first policy. KL(π‖πθ) = H(π‖πθ) - H(π) is 0 "
    "for a perfect copy.",
    "KL under a visitation": "KL(π‖πθ) per step, in nats, averaged over the states that the student, the teacher or "
    "the uniform policy visits: where one looks decides how good a copy seems.",
    "Asymmetry": "max|J - Jᵀ| / max|J| of an update's Jacobian J: 0 means that the update is the gradient of some "
    "objective, so that following it goes downhill and cannot go round in circles.",
    "[a, b]": "A 95 % interval, by resampling worlds, where nothing else is said. A statement holds if the whole "
    "interval says so.",
    "Never, undefined": "A level that a curve did not reach within the run is reached never. A ratio of iterations "
    "is never where its first curve did not arrive, and undefined where neither did.",
    "Verdict": "Computed from the data. Reproduced: all statements of the claim hold; partly: some; not reproduced: "
    "none.",
}

RUN = {
    "Teacher, student": "A policy chooses actions from what it observes. The teacher is one that was trained before; "
    "distillation trains the student, usually a smaller network, to act as the teacher does.",
    "Return": "The sum of an episode's rewards. Teacher, student and random policy were played on the same seeds after "
    "training, on none of its episodes, with their deterministic actions (the random policy draws its own).",
    "Recovered": RECOVERED
    + "100 % the whole of the teacher; more than that, and the student earned more than its teacher.",
    "[a, b]": "A 95 % interval by the bootstrap over episodes; for the recovered fraction teacher and student are "
    "drawn together, seed by seed. It tells what chance in the episodes may do, not what another training would give.",
    "KL(teacher‖student)": "How far apart two policies' probabilities are in a state, in nats: 0 is a perfect copy; "
    "0.69 is to expect even odds where the teacher is certain. The mean over states depends on who visits them.",
    "Visitation": "The states that a policy comes through when it plays. A copy can look perfect on the teacher's and "
    "fail on its own, where it ends up after its first mistake.",
    "µs": "Microseconds from one observation to one action on one thread, the median of up to 1,000 calls where the "
    "evidence was gathered. Small students act through NumPy, teachers through PyTorch; exports have times of their "
    "own.",
    "File": "Of the student its weights (`model.safetensors`); of the teacher the file as it came, which may hold more "
    "than its policy, such as an optimiser's state.",
    "Terminated, truncated": "An episode is terminated when the environment says that it is over, and truncated when a "
    "time limit cuts it.",
}

COMPARISON = {
    "Teacher, student": "A policy chooses actions from what it observes. Distillation trains the student, usually a "
    "smaller network, to act as the trained teacher does, or as well.",
    "Return": "The sum of an episode's rewards. Both play the same final episodes, with their deterministic actions, "
    "after training.",
    "Recovered": RECOVERED + "1 the whole of the teacher.",
    "Interquartile mean": "The mean of the middle half of the runs' mean returns, which one odd run cannot move far. "
    "Of fewer than four runs nothing is left out, so that it is their mean.",
    "[a, b]": "A 95 % interval by an extension of the stratified bootstrap of Agarwal et al. 2021 (rliable), which "
    "draws the runs anew within each student: here the episodes on which all of them were measured are drawn anew "
    "with them. Of the methods over all students, and of probabilities, it is rliable's own, of the runs alone. Three "
    "runs are few: the interval says what they show, not what a hundred would.",
    "Keeps": "Yes: the lower end of the recovered fraction's interval is high enough. Perhaps: the estimate is, and "
    "its interval reaches below.",
    "µs": "Microseconds from one observation to one action, the median of up to 1,000 calls on one core while nothing "
    "else ran. Small students act through NumPy, teachers through PyTorch; exported files have times of their own.",
    "Bytes": "Of the student's weights as a file, `model.safetensors`. A teacher's file may hold more than its policy.",
    "Steps, seconds": "Of training, until an evaluation found the target held; the interquartile mean over those runs "
    "that came to it. Evaluations are not in the seconds. Runs side by side slow each other down.",
    "Probability of improvement": "How likely a run of one method is to beat a run of the other with the same student, "
    "a tie counting half; the mean over students.",
}

STAGED = {
    "Policy, stage, task": "A policy chooses actions from what it observes. A stage trains it on one task, an "
    "environment, and the next stage goes on from there with another task.",
    "Return": "The sum of an episode's rewards. Returns of different tasks are not alike: compare them within a "
    "column.",
    "[a, b]": "A 95 % interval by the bootstrap over episodes. It tells what chance in the episodes may do, not what "
    "another training with another seed would give.",
    "Percentages": "(return - random policy's) / (return after the task's own stage - random policy's): 0 % is no "
    "better than random, 100 % as good as after the task's own stage. Left out where that stage gained less than "
    "twice what its return's interval reaches down, for then they would mean little.",
    "Forgetting": "Of an earlier task the best return after its own or a later stage but the last, less that after "
    "the last (as in Chaudhry et al. 2018, who count stages before the task's own too).",
    "Backward, forward transfer": "What later stages did to a task that was learned before, and what earlier ones "
    "did for a task that was not learned yet (Lopez-Paz & Ranzato 2017).",
    "PPO": "Proximal policy optimisation, the reinforcement learning of all stages: the policy is changed a little "
    "at a time, towards what earned more than expected.",
    "Anchor": "A frozen policy, such as an earlier stage's, that holds the one that learns: its distance, the KL, "
    "times a weight is added to the loss.",
    "KL": "How far apart two policies' probabilities are in a state, in nats: 0 and they are the same; 0.69 is to "
    "expect even odds where the other is certain. It is the mean over states.",
    "Visited, stored states": "Those that the policy comes through now, and those that earlier stages kept.",
    "Guard": "Compares the return after the first updates of a stage with the one before; where it was lost, the "
    "last good policy comes back.",
}
