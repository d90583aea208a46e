"""What runs inside MiniStack's process, in its environment: nothing of the product, the standard library only."""
