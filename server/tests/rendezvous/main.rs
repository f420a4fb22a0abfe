//! The server's promises, on a real process and real sockets. Tests are named after the rows of REQUIREMENTS.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::many_single_char_names)]

mod admin;
mod bad_input;
mod bus;
mod cluster;
mod cluster_load;
mod configuration;
mod deploy;
mod floods;
mod limits;
mod liveness;
mod logs;
mod nats;
mod page;
mod proxies;
mod rooms;
mod sign_in;
mod stopping;
mod supervisor;
mod support;
mod tls;
mod turn;
mod turn_client;
