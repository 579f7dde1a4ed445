//! Turns the tree of what was written into a `Config`, telling every fault at once.
