"""The Atlas page: what each unit of a layer looks for, as a contact sheet, and each unit on a page of its own."""
