"""The page that sets attributions of one class side by side, with what judges them."""
