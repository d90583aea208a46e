"""The local world: the template that is deployed, running in one process on moto, with sandbox systems around it.

`infra.local.world.World` is the door. What it does as AWS does, and what it does not, stands in
``docs/local-world.md``. The product never imports anything from here.
"""
