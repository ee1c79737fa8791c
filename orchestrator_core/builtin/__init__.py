"""The engine's own plugins, found by entry point like anybody's: `timer`, `jsonl`, `command`, `python`."""
