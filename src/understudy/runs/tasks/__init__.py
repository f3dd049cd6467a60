"""Several tasks in one student: each a run of its own, joined in the parameters that their students share."""
