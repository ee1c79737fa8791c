"""What commands print: functions from values to lines, without I/O."""
