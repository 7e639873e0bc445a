"""What happens, measured in the transaction in which it happens, for whoever adds it up."""
