"""What restrains the weights of the student while it learns."""
