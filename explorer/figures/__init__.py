"""Data to plotly figures, DOT and pictures, without Streamlit: page and command line share them."""
