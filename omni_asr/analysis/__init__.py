"""Routing statistics, plots and the HTML report."""
