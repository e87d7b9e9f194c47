"""Many cells: tasks that stand alone, a folder that survives anything, one table at the end."""
