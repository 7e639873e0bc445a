"""What keeps jobs running: claims them, calls their functions, records how they ended. A worker is all of it."""
