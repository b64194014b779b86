"""The launcher behind `python3 dev`: standard library only, since it makes everything else."""
