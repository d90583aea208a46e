"""What the deployment is made of besides functions: state machines, environments, and the local world.

Nothing in here is imported by the product.
"""
