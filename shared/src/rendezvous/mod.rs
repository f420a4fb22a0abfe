//! The server's rules.
