"""Other nodes as untrusted feeds: fetched from, compared, scored, never believed."""
