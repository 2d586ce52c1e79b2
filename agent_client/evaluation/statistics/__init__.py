"""What a stored run says: scores, tables and comparisons, none without its denominator.

```text
intervals.py        shares and means with intervals; repeats of a question are clustered
paired.py           McNemar, differences of paired shares, sign flips
repeats.py          pass@k, mean@k
percentiles.py      p50, p90, p99
judged.py           each episode of a run with its verdict, also those that are not there
score.py            right answers, of how many
tool_use.py         searches and visits per question, as model cards print them
effort.py           turns, tokens, money, seconds
endings.py          how the episodes ended, what went wrong
contamination.py    pages that publish the benchmark
evidence_paths.py   what became of the pages that hold the evidence
summary.py          all of these for one run and one grader
figures.py          numbers as text, with their denominators
text_forms.py       texts of datasets, models and pages in Markdown and CSV
comparability.py    whether runs may stand in one table
notes.py            what has to stand below a table
columns.py          the columns of the CSV form
tables.py           summaries as Markdown, CSV and JSON
question_rows.py    a row per question
comparison.py       two runs on the same questions
comparison_forms.py the same as Markdown and JSON
```
"""
