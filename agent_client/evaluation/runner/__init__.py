"""Works on many questions at once, through the same `Agent` that the command line uses.

```text
runner.py           which episode is next, how often it is tried, when a run stops
episode.py          one episode: the shipped agent on one question, and the record of it
continued.py        a model and tools that first give back what an attempt before has stored
tool_failures.py    tools whose own side failed: tried again, and never blamed on the agent
page_outage.py      tells pages that are dead from a web that is out of reach
search_outage.py    tells a search that never worked from one that is busy for a while
pace.py             how much is asked of one provider at once
paced_model.py      a model's endpoint that is asked no faster than it takes
watched_journal.py  counts what happens in an episode on its way into the journal
progress.py         the counters of a run, for whoever shows them
```
"""
