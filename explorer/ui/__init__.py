"""The parts of the page: state and links, widgets from Specs, background jobs, figures."""
