"""An author's side: models and inputs onto the chain, and what is said of them afterwards."""
