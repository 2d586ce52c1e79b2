"""Trajectories of a run for training, and for the viewers of others.

```text
trajectory.py     one episode as the exporters see it
turn_text.py      what the model wrote and what stood between, as one text
facts.py          what can be asked of an episode by name: `--where "correct and turns<=8"`
selection.py      which episodes are exported
about.py          where a row comes from: the metadata of every format
chat_rows.py      messages: OpenAI, TRL, verl's SFT
sharegpt_rows.py  ShareGPT as LLaMA-Factory reads it
text_rows.py      Qwen/Hermes text, and tokens with a loss mask
question_rows.py  verl's prompts for reinforcement learning
full_rows.py      everything that is known, as one JSON object per episode
inspect_log.py    `.eval` logs, which `inspect view` opens
row_files.py      JSONL and Parquet, written all or not at all
formats.py        the table of formats
export.py         all of it together
```
"""
