#!/bin/sh
# Runs in a container, once for each line: counts its words and prints the result as JSON.
text=$(echo "$PIPELINE_EVENT" | base64 -d | sed 's/.*"text":"\([^"]*\)".*/\1/')
echo "counting: $text" >&2
set -- $text
echo "{\"words\": $#}"
