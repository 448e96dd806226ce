"""The workbench page: page.py lays it out, each other file draws one panel or part."""
