"""Pictures of results, on PyVista. Nothing in the engine imports this package."""
