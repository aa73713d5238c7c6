"""The model builder in the browser: a scenario file in forms, with its problems, its graph and a small run beside it.

The text of the file is the model. A change in a form changes the text where the value stands (`splice.py`); what the
page shows is read from the text anew (`draft.py`), by the code that reads scenarios everywhere.
"""
