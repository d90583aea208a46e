"""The verbs (receive, intake, post, step, probe, ask) over ports: what is done, without knowing where it runs."""
