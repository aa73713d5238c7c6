"""A scenario: the model as data, read from YAML, checked, ready to be run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gpusim.scenario.loading import about, library, load, merge, parse_set, presets, validated
from gpusim.scenario.reading import Read, read_text
from gpusim.scenario.schema import Document

__all__ = ["Document", "Scenario", "about", "library", "parse_set", "presets"]


@dataclass(frozen=True)
class Scenario:
    """A checked scenario.

    `document` holds what the file says, quantities as written.
    """

    document: Document

    @classmethod
    def load(cls, scenario: str | Path, overrides: Mapping[str, Any] | None = None) -> "Scenario":
        """Load a shipped name or a YAML file; `overrides` are dotted paths to values.

        Raises `ScenarioError`, whose message names file, line and path of every problem.
        """
        return cls(load(scenario, overrides))

    @classmethod
    def parse(cls, text: str) -> "Scenario":
        """A scenario from YAML text. Raises `ScenarioError`."""
        return cls(validated(read_text(text, "text"), "text"))

    def with_(self, **changes: Any) -> "Scenario":
        """This scenario with mappings laid over it: `scenario.with_(fields={"virus": {"decay": "0 /min"}})`."""
        data = merge(self.document.model_dump(mode="json", exclude_unset=True), changes)
        return Scenario(validated(Read(data), self.document.name))

    def to_yaml(self) -> str:
        """The scenario as one file, with nothing left to extend or override."""
        data = self.document.model_dump(mode="json", exclude_unset=True)
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
