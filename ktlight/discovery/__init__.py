"""What each model of a zoo knows that the others do not."""
