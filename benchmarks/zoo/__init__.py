"""The nets of the whitepaper's table 3, ResNet-50 and a small transformer, with seeded weights.

`catalogue` names them, `files` keeps what is made of them outside the repository.
"""
