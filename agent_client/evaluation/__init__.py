"""Runs the shipped agent on questions with known answers, and says honestly how well it did.

```text
datasets/     questions with their answers, from the official files
runner/       many questions at once, through the same `Agent` that the command line uses
records/      the run's directory: what happened, append-only, and how a run goes on after a crash
web/          the answers of the tools, recorded and replayed; mirrors of benchmarks kept out
graders/      right, wrong or not attempted: offline rules and judges
statistics/   tables, intervals, comparisons
export/       trajectories for training and for other viewers
```

`agent_client.evaluation_app` and `agent_client.grading_app` put these parts together.
"""
