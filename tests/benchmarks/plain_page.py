"""A Streamlit page of nothing but widgets, as many as WIDGETS says: what any page of that size costs."""

from __future__ import annotations

import os

import streamlit as st

st.metric("Number", st.number_input("Number", 0, 10_000, 0))
for index in range(int(os.environ.get("WIDGETS", "30")) - 1):
    if index % 2:
        st.selectbox(f"Choice {index}", ["one", "two", "three"])
    else:
        st.slider(f"Slider {index}", 0, 100, 50)
