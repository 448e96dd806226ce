"""What pages are made of: session, state and link, widgets, jobs, components. With views it alone knows Streamlit."""
