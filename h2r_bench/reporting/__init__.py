"""From trial records to tables and pages.

| module | what |
|---|---|
| `records` | reads the logs, trusting no line of them |
| `board` | who was measured on what, in one world, never mixed |
| `comparisons` | the statistics that need scipy and statsmodels |
| `paper` | the paper's Table 1, as data |
| `tables` | Table 1, ours beside the paper's, with marks |
| `plain` | the tables as Markdown and CSV |
| `charts`, `site` | the HTML site |
| `compare`, `verify` | two agents trial by trial; records made again |
"""
