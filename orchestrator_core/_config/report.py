"""From what is wrong to where it stands and what may be shown of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from orchestrator_core._config.document import Places
from orchestrator_core._config.hints import for_unknown_key
from orchestrator_core._config.problems import Finding, Keys, Problem
from orchestrator_core._config.redaction import HIDDEN, redact
from orchestrator_core._plugins import one_line


@attrs.frozen
class Report:
    """Turns findings into problems.

    Attributes:
        file: the file, as the user named it.
        places: where its keys and values stand.
        overrides: the overrides, as they are shown, by what they set.
        components: the option names of each node whose kind is known.
        hidden: texts that must not be shown.
    """

    file: str
    places: Places
    overrides: Mapping[Keys, str]
    components: Mapping[Keys, Sequence[str]]
    hidden: Iterable[str]

    def problems(self, findings: Iterable[Finding]) -> tuple[Problem, ...]:
        """Return the problems in the order of the file, each one once; those of overrides come last."""
        problems = dict.fromkeys(self._problem(finding) for finding in findings)
        return tuple(sorted(problems, key=lambda problem: (problem.line or 1 << 30, problem.column or 0)))

    def _problem(self, finding: Finding) -> Problem:
        hint = finding.hint
        if finding.known is not None:
            hint = for_unknown_key(finding.keys, finding.known, self.components)
        file, line, column = self._place(finding)
        message, hint = self._shown(finding.message), self._shown(hint)
        return Problem(file, line, column, message, hint, finding.severity, finding.plugin)

    def _place(self, finding: Finding) -> tuple[str, int | None, int | None]:
        for end in range(len(finding.keys), 0, -1):
            if finding.keys[:end] in self.overrides:
                return (self.overrides[finding.keys[:end]], None, None)
        # A table that only overrides have made stands in none but theirs.
        if finding.keys and finding.keys not in self.places.keys:
            for keys, shown in self.overrides.items():
                if keys[: len(finding.keys)] == finding.keys:
                    return (shown, None, None)
        return (self.file, *(self.places.key if finding.at_key else self.places.value)(finding.keys))

    def _shown(self, text: str) -> str:
        for secret in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(one_line(secret), HIDDEN).replace(secret, HIDDEN)
        return one_line(redact(text))
