"""What the shipped checkpoint's recipe is worth, technique by technique."""
