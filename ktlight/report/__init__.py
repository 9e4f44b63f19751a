"""What a run leaves behind and shows: its folder, its results, its curves and the table at the end."""
