"""`make gpu`: what one GPU computes and how fast, by priority within a time limit."""
