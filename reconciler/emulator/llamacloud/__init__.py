"""LlamaCloud's contract: batches, directories and their files, configurations, jobs, projects.

`app` (routes) → `bodies` (what may be asked) → the stores (`batches`, `directories`, `configurations`)
→ `replies` (what is answered).
"""
