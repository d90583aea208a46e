"""A second AWS: the unmodified template, built and deployed as a customer would, into MiniStack with IAM on.

``python -m infra.acceptance`` plays the story of the local world on the deployed stack and ties it out, and fails when
a role lacks one action that it needs. ``engine/`` runs in MiniStack's own environment, everything else in ours.
"""
