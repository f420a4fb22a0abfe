//! What systemd is told of how it goes, where it wants to know (`sd_notify(3)`, `Type=notify`).

/// What a server is about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serving.
    Ready,
    /// Reading its configuration again; ready comes next.
    Reloading,
    /// Sending its clients elsewhere.
    Draining,
    /// Closing what is left.
    Stopping,
}

#[cfg(target_os = "linux")]
pub(crate) fn tell(phase: Phase) {
    use sd_notify::NotifyState::{Ready, Reloading, Status, Stopping};

    let told = match phase {
        Phase::Ready => sd_notify::notify(&[Ready, Status("serving")]),
        Phase::Reloading => sd_notify::NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[Reloading, now, Status("reading the configuration again")])),
        Phase::Draining => sd_notify::notify(&[Stopping, Status("sending clients elsewhere")]),
        Phase::Stopping => sd_notify::notify(&[Stopping, Status("closing what is left")]),
    };
    if let Err(error) = told {
        tracing::warn!(%error, "systemd could not be told how it goes");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tell(_: Phase) {}
