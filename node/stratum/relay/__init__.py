"""A pool for the miners of others whose jobs come from another pool or node.

Grin's stratum (`wire`) is spoken; `jobs` judges shares with a coin's own proof of work, `session`
talks to one miner, `server` listens and hands on what the other side wants.
"""
