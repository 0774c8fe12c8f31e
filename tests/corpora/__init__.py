"""Small fake copies of corpora in their exact layouts, traps included."""
