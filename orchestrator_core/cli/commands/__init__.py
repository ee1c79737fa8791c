"""The commands, one module each (or one for a family); imported when used."""
