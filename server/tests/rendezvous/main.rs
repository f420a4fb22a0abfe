//! The server's promises, on a real process and real sockets. Tests are named after the rows of REQUIREMENTS.md.

mod bad_input;
mod limits;
mod liveness;
mod rooms;
mod sign_in;
mod stopping;
mod support;
