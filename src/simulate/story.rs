//! The demo's story in virtual time.
