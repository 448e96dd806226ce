"""Data to plotly figures and DOT, without Streamlit."""
