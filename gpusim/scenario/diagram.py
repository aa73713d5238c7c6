"""A scenario as a diagram in the Mermaid language: its states, and the rules that lead from one to another."""

from collections.abc import Iterator

from gpusim.scenario.schema import Document

_LAYERS = {"tissue": "tissue cells", "immune": "immune cells"}


def mermaid(document: Document) -> str:
    """The text of a flowchart.

    A box is a state, an arrow is a rule, or several with the same ends. Divisions lead to the state of the daughter. A
    dashed arrow joins a state with a quantity of the body.

    Args:
        document: a scenario with states in place of groups (`Scenario.document`).
    """
    lines = ["flowchart LR"]
    for layer, title in _LAYERS.items():
        names = [name for name, state in document.states.items() if state.layer == layer]
        if names:
            boxes = [f'    {_state(name)}["{name}"]' for name in names]
            lines += [f'  subgraph {layer}_layer["{title}"]', *boxes, "  end"]
    if document.body.quantities:
        boxes = [f'    {_quantity(name)}(["{name}"])' for name in document.body.quantities]
        lines += ['  subgraph body_quantities["body"]', *boxes, "  end"]
    known = {*document.states, *document.body.quantities}
    labels: dict[tuple[str, str, str], list[str]] = {}
    for rule, start, line, end in arrows(document):
        labels.setdefault((start, line, end), []).append(rule)
    ends = {end for start, _, stop in labels for end in (start, stop)}
    lines += [f'  {_state(name)}["{name}"]' for name in ("empty", "none") if name not in known and _state(name) in ends]
    lines += ['  nothing(("nothing"))'] if "nothing" in ends else []
    lines += [
        f'  {start} {line}|"{"<br>".join(dict.fromkeys(rules))}"| {end}' for (start, line, end), rules in labels.items()
    ]
    return "\n".join(lines) + "\n"


def arrows(document: Document) -> Iterator[tuple[str, str, str, str]]:
    """Names of rules and processes, with the start, the line and the end of each of their arrows in the diagram."""
    for name, rule in document.rules.items():
        for state in rule.leaves:
            yield name, _state(state), "-->", _state(rule.daughter or rule.enters)
            for quantity in rule.brings:
                yield name, _state(state), "-.->", _quantity(quantity)
        for state, after in rule.partners.items():
            if state != after:
                yield name, _state(state), "-->", _state(after)
        if rule.from_body is not None:
            yield name, _quantity(rule.from_body), "-.->", _state(rule.enters)
    for name, process in document.body.processes.items():
        leaves, enters = (_quantity(end) if end else "nothing" for end in process.ends)
        yield name, leaves, "-->", enters


def _state(name: str) -> str:
    # With a prefix, as "end" and others are words of the language.
    return f"state_{name}"


def _quantity(name: str) -> str:
    return f"body_{name}"
