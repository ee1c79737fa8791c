"""What the engine costs, each figure beside what bounds it: ``python -m tests.bench [NAME …]``."""
