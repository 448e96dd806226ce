"""The Compare page: two to four whole networks beside each other, aligned layer by layer."""
