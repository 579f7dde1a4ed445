//! Reads TOML into the tree of values, and remembers on which line each key stands.
