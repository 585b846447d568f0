"""What runs inside the sandbox of a sold training job: ``python -m farmctl.training.run``.

It imports nothing of the farm beyond `farmctl.files` and `farmctl.errors`, and speaks to its
runner by lines of JSON on standard output and a word on standard input.
"""
