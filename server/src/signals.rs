//! The signals a server obeys.

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM: let the clients go, then end.
    Drain,
    /// SIGINT: end now.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

#[cfg(unix)]
mod system {
    use tokio::signal::unix::{self, SignalKind};

    use super::Signal;

    /// The signals since it was made.
    pub(crate) struct Signals {
        hangup: unix::Signal,
        interrupt: unix::Signal,
        terminate: unix::Signal,
    }

    impl Signals {
        pub(crate) fn new() -> std::io::Result<Self> {
            Ok(Self {
                hangup: unix::signal(SignalKind::hangup())?,
                interrupt: unix::signal(SignalKind::interrupt())?,
                terminate: unix::signal(SignalKind::terminate())?,
            })
        }

        pub(crate) async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.hangup.recv() => Signal::Reload,
                _ = self.interrupt.recv() => Signal::Stop,
                _ = self.terminate.recv() => Signal::Drain,
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use super::Signal;

    /// Ctrl-C.
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn new() -> std::io::Result<Self> {
            Ok(Self)
        }

        pub(crate) async fn next(&mut self) -> Signal {
            let _ = tokio::signal::ctrl_c().await;
            Signal::Stop
        }
    }
}

pub(crate) use system::Signals;

impl Signals {
    /// Resolves when somebody wants an end.
    pub(crate) async fn last(&mut self) {
        while self.next().await == Signal::Reload {}
    }
}
