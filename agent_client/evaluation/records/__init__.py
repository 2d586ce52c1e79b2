"""The directory of a run: what happened, append-only, and how a run goes on after a crash.

```text
run_writer.py      the one writer of a directory
stored_run.py      the readers
manifest.py        run.json: what was asked of which model with which profile
resume_plan.py     what is still owed, and which episodes were cut off
earlier_chain.py   what is stored of an episode, up to where it goes on
stored_already.py  tells what an agent emits again from what is new
episode_log.py     stores one episode as it happens
event_segments.py  the lines of all episodes, in files that only grow
result_store.py    what tools returned, by digest
stored_lines.py    the files of questions, records and grades
run_directory.py   names, lock and modes of the files
```

A run's directory:

```text
run.json             written once, all or nothing, behind questions.jsonl: without it, no run
questions.jsonl      the questions asked: whoever resumes or grades never needs the dataset again
events-00001.jsonl   lines of events; each opening of the run begins a segment
records.jsonl        a line per episode that ended; the last one of an episode is valid
grades.jsonl         a line per verdict; the last one of an episode and a grader is valid, if it is
                     on the attempt that the record is of
results.jsonl        what tools returned, each once, by the SHA-256 of what it says
remarks.jsonl        what else has to be known, such as a resumption with other settings
.lock                locked by the writer, whose process id it holds
```

A line of events says whose it is, and then what `agent_client.sessions.event_codec` says:

```json
{"e":"question 7","r":0,"a":1,"n":4,"at":"…","s":3.217,"type":"ToolFinished","event":{…}}
```

`e` is the question's id, `r` the repeat, `a` the attempt. `n` counts the lines of an episode; an
attempt that goes on counts on. The prompts in the manifest, and texts that an earlier line of the
episode or a result holds, are referred to.

What is written survives the end of the process at any instant. A power cut may cost the last
seconds, as nothing but `run.json` and the questions waits for the disk; what is then half written
is found by its missing line end or its digest, and done again.
"""
