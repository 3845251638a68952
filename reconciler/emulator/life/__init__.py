"""What becomes of batches once they are created: when they move on, and how they end."""
