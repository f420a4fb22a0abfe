//! One connection's task: a `PeerConnection`, and the loops between it and the outside.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::rtc::ice::mdns::MulticastDnsMode;
use ::rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use ::rtc::peer_connection::transport::RTCDtlsRole;
use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::sync::{SetOnce, mpsc, watch};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCIceCandidateType, RTCIceGatheringState, RTCIceServer, RTCIceTransportPolicy,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

use super::bridge::Bridges;
use super::runtime::{Tamed, local_addresses};
use super::{Ending, IceServer, Inputs, LABEL, MAX_MESSAGE, RtcEvent, Settings, Signal, remote};

/// Local candidates the driver has found and the task not yet taken.
const CANDIDATES: usize = 64;
/// No candidate for so long means that the next ones come from servers.
const QUIET: Duration = Duration::from_millis(5);
/// What SCTP may hold of data the peer has not acknowledged; unbounded by default.
const SEND_BUFFER: usize = 128 * 1024;
/// Sockets per connection; of a machine with more addresses, the first are bound.
const MAX_ADDRESSES: usize = 16;
/// `PeerConnection::close` waits up to 100 ms for its driver; anything longer is a fault.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// From both descriptions being known to open. A DTLS server whose client found fault with it may wait for ever.
const OPEN_WAIT: Duration = Duration::from_secs(15);
/// ICE: silence until `disconnected`, from there to `failed`, and the time between keepalives.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(5);
const FAILED_AFTER: Duration = Duration::from_secs(7);
const KEEPALIVE: Duration = Duration::from_secs(2);
/// A pair is given up after this many checks, 200 ms apart. The default of 7 may be over before a slow answer arrives.
const CHECKS: u16 = 60;

/// Why a connection ends, in words for [`RtcEvent::Closed`]. Errors of `webrtc` are named only where they say more and
/// can quote nothing of a description.
#[derive(Clone, Debug, Error)]
enum Failure {
    #[error("{0}")]
    Here(&'static str),
    #[error("no local address could be bound: {0}")]
    Bind(String),
    #[error("the connection could not be set up: {0}")]
    SetUp(String),
    #[error("the peer's description is not one of a single data channel")]
    NotOurs,
    #[error("the peer's description was refused")]
    Refused,
    #[error("an answer that nothing asked for")]
    UnexpectedAnswer,
    #[error("the peer opened a channel that is not ours")]
    ForeignChannel,
    #[error("no path to the peer, or it is not who its description says")]
    Failed,
    #[error("the connection did not open in time")]
    Late,
    #[error("the peer closed the connection")]
    ClosedByPeer,
    #[error("the message could not be sent: {0}")]
    Send(String),
    #[error("the connection's driver stopped")]
    DriverStopped,
    #[error("nobody reads this connection's events")]
    Unread,
}

/// The whole life of one connection: loops of which the first to end, ends all.
pub(super) async fn live(
    ice: Vec<IceServer>,
    offer: Option<String>,
    mut inputs: Inputs,
    events: mpsc::Sender<RtcEvent>,
    mut ending: Ending,
) {
    let settings = ending.shared.settings.clone();
    let runtime = Arc::new(Tamed::new());
    ending.count();
    let mut addresses = settings.bind.clone().unwrap_or_else(local_addresses);
    addresses.truncate(MAX_ADDRESSES);
    // A relay alone shows nobody this machine's own.
    let (observer, observed) = observe(if settings.relay_only { usize::MAX } else { addresses.len() });
    let (ice, bridges) = Bridges::build(ice, &addresses, &settings.roots).await;
    // Relays take round trips, each of which the driver loop must notice; nothing else does before both sides speak.
    runtime.pace.gathering(!ice.is_empty());
    let connection = match build(ice, addresses, &settings, &runtime, observer).await {
        Ok(connection) => connection,
        Err(failure) => return ending.reason = failure.to_string(),
    };
    let wire = Wire {
        connection,
        runtime,
        events,
        described: SetOnce::new(),
        channel: SetOnce::new(),
        open: SetOnce::new(),
        bridges,
    };
    let failure = tokio::select! {
        biased;
        reason = stop_asked(&mut inputs.stopped) => Failure::Here(reason),
        failure = observed.fault.wait() => failure.clone(),
        failure = wire.negotiate(offer, &mut inputs.signals, &settings, observed.found) => failure,
        failure = wire.receive(observed.channels) => failure,
        failure = wire.send(inputs.outbox, &inputs.unsent) => failure,
        failure = wire.overdue() => failure,
        () = wire.runtime.stopped() => if wire.open.initialized() { Failure::DriverStopped } else { Failure::Failed },
        () = wire.events.closed() => Failure::Unread,
    };
    ending.reason = failure.to_string();
    wire.close().await;
}

async fn stop_asked(stopped: &mut watch::Receiver<Option<&'static str>>) -> &'static str {
    match stopped.wait_for(Option::is_some).await {
        Ok(reason) => reason.unwrap_or("closed here"),
        Err(_) => "dropped here",
    }
}

async fn build(
    ice: Vec<IceServer>,
    addresses: Vec<IpAddr>,
    settings: &Settings,
    runtime: &Arc<Tamed>,
    observer: Observer,
) -> Result<Arc<dyn PeerConnection>, Failure> {
    let servers = ice.into_iter().map(|server| RTCIceServer {
        urls: server.urls,
        username: server.username,
        credential: server.credential,
    });
    let engine = SettingEngineBuilder::new()
        .with_ice_timeouts(Some(DISCONNECTED_AFTER), Some(FAILED_AFTER), Some(KEEPALIVE))
        .with_ice_connection_attempts(None, Some(CHECKS))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE as u32));
    let builder = PeerConnectionBuilder::new()
        .with_configuration(
            RTCConfigurationBuilder::default()
                .with_ice_servers(servers.collect())
                .with_ice_transport_policy(if settings.relay_only {
                    RTCIceTransportPolicy::Relay
                } else {
                    RTCIceTransportPolicy::All
                })
                .build(),
        )
        .with_setting_engine(engine.build())
        .with_runtime(Arc::clone(runtime) as _)
        .with_handler(Arc::new(observer))
        .with_udp_addrs(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
        // Not for its thread: only with a pool does a `PeerConnection` that is dropped unclosed stop its driver.
        .with_dedicated_reactor_pool_size(1)
        .with_data_channel_send_buffer_limit(SEND_BUFFER);
    // Boxed, since it takes 20 KiB that the task would keep for good.
    let connection = Box::pin(builder.build()).await.map_err(|error| Failure::Bind(error.to_string()))?;
    Ok(Arc::new(connection))
}

/// What the driver loop calls. It must never wait, so it only leaves word for the task.
struct Observer {
    found: mpsc::Sender<String>,
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
    gathered: Arc<SetOnce<()>>,
    fault: Arc<SetOnce<Failure>>,
}

/// The task's end of an [`Observer`]. A channel keeps its connection alive, and so its observer: it must be in nothing
/// that the observer owns, and a queue empties itself when its reader goes.
struct Observed {
    found: Found,
    channels: mpsc::Receiver<Arc<dyn DataChannel>>,
    fault: Arc<SetOnce<Failure>>,
}

/// Local candidates, and whether there will be no more.
struct Found {
    candidates: mpsc::Receiver<String>,
    gathered: Arc<SetOnce<()>>,
    /// How many of this machine's own are still to come, unless one cannot be used.
    awaited: usize,
}

impl Found {
    /// Waits for this machine's own addresses, which come all at once; those that servers tell come later, one by one.
    async fn own(&mut self, early: &mut Vec<String>) {
        while self.awaited > 0 {
            let quiet = async {
                match early.len() {
                    0 => std::future::pending().await,
                    _ => tokio::time::sleep(QUIET).await,
                }
            };
            tokio::select! {
                biased;
                Some(candidate) = self.candidates.recv() => {
                    self.awaited -= usize::from(candidate.contains(" typ host"));
                    early.push(candidate);
                }
                () = self.gathered.wait() => return,
                () = quiet => return,
            }
        }
    }
}

fn observe(awaited: usize) -> (Observer, Observed) {
    let (found, candidates) = mpsc::channel(CANDIDATES);
    let (channel, channels) = mpsc::channel(1);
    let (gathered, fault) = (Arc::new(SetOnce::new()), Arc::new(SetOnce::new()));
    let observer =
        Observer { found, channels: channel, gathered: Arc::clone(&gathered), fault: Arc::clone(&fault) };
    (observer, Observed { found: Found { candidates, gathered, awaited }, channels, fault })
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Observer {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(init) = event.candidate.to_json()
            && self.found.try_send(init.candidate).is_err()
        {
            tracing::debug!("local candidate dropped: too many, or closing");
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.set(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        tracing::debug!(%state, "connection state");
        if state == RTCPeerConnectionState::Failed {
            let _ = self.fault.set(Failure::Failed);
        }
    }

    /// Called for channels of the peer only.
    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        if self.channels.try_send(channel).is_err() {
            let _ = self.fault.set(Failure::ForeignChannel);
        }
    }
}

struct Wire {
    connection: Arc<dyn PeerConnection>,
    runtime: Arc<Tamed>,
    events: mpsc::Sender<RtcEvent>,
    /// Both descriptions are known.
    described: SetOnce<()>,
    channel: SetOnce<Arc<dyn DataChannel>>,
    open: SetOnce<()>,
    bridges: Bridges,
}

impl Wire {
    /// Descriptions and candidates, both ways.
    async fn negotiate(
        &self,
        offer: Option<String>,
        signals: &mut mpsc::Receiver<Signal>,
        settings: &Settings,
        found: Found,
    ) -> Failure {
        let offering = offer.is_none();
        if let Err(failure) = self.prepare(offer).await {
            return failure;
        }
        tokio::select! {
            failure = self.describe(settings.gather_wait, found) => failure,
            failure = self.obey(signals, offering) => failure,
        }
    }

    async fn prepare(&self, offer: Option<String>) -> Result<(), Failure> {
        let set_up = |error: webrtc::error::Error| Failure::SetUp(error.to_string());
        let local = if let Some(offer) = offer {
            self.set_remote(offer, RTCSessionDescription::offer).await?;
            self.connection.create_answer(None).await.map_err(set_up)?
        } else {
            let channel = self.connection.create_data_channel(LABEL, None).await.map_err(set_up)?;
            let _ = self.channel.set(channel);
            self.connection.create_offer(None).await.map_err(set_up)?
        };
        self.connection.set_local_description(local).await.map_err(set_up)
    }

    /// Sends the local description once its candidates are known or time is up, then what candidates come later.
    async fn describe(&self, gather_wait: Duration, mut found: Found) -> Failure {
        let mut early = Vec::new();
        let _ = tokio::time::timeout(gather_wait, found.own(&mut early)).await;
        let Some(description) = self.connection.local_description().await else {
            return Failure::SetUp("no local description".to_owned());
        };
        let sdp = remote::trimmed(&description.sdp);
        if self.events.send(RtcEvent::Description(sdp.clone())).await.is_err() {
            return Failure::Unread;
        }
        let mut early = early.into_iter();
        loop {
            let candidate = match early.next() {
                Some(candidate) => candidate,
                None => match found.candidates.recv().await {
                    Some(candidate) => candidate,
                    None => return Failure::DriverStopped,
                },
            };
            if sdp.contains(&candidate) {
                continue;
            }
            if let Some(json) = remote::candidate_json(candidate, &sdp)
                && self.events.send(RtcEvent::Candidate(json)).await.is_err()
            {
                return Failure::Unread;
            }
        }
    }

    /// Does what the other side's messages say.
    async fn obey(&self, signals: &mut mpsc::Receiver<Signal>, offering: bool) -> Failure {
        let mut answered = !offering;
        let mut early = Vec::new();
        let mut left = remote::MAX_CANDIDATES;
        while let Some(signal) = signals.recv().await {
            match signal {
                Signal::Answer(_) if answered => return Failure::UnexpectedAnswer,
                Signal::Answer(sdp) => {
                    answered = true;
                    if let Err(failure) = self.set_remote(sdp, RTCSessionDescription::answer).await {
                        return failure;
                    }
                    for candidate in early.drain(..) {
                        self.add_candidate(candidate).await;
                    }
                }
                Signal::Candidate(json) => match remote::candidate(&json) {
                    Some(candidate) if left > 0 => {
                        left -= 1;
                        if answered { self.add_candidate(candidate).await } else { early.push(candidate) }
                    }
                    _ => tracing::debug!("candidate ignored: invalid, or one too many"),
                },
            }
        }
        // The connection was dropped; `stop_asked` has the word.
        std::future::pending().await
    }

    async fn set_remote(
        &self,
        sdp: String,
        parse: fn(String) -> webrtc::error::Result<RTCSessionDescription>,
    ) -> Result<(), Failure> {
        if !remote::acceptable(&sdp) {
            return Err(Failure::NotOurs);
        }
        let description = parse(sdp).map_err(|_| Failure::Refused)?;
        self.runtime.pace.connecting();
        let _ = self.described.set(());
        self.connection.set_remote_description(description).await.map_err(|_| Failure::Refused)
    }

    async fn add_candidate(&self, candidate: RTCIceCandidateInit) {
        if self.connection.add_ice_candidate(candidate).await.is_err() {
            tracing::debug!("candidate ignored: refused");
        }
        self.runtime.pace.nudge();
    }

    async fn overdue(&self) -> Failure {
        self.described.wait().await;
        match tokio::time::timeout(OPEN_WAIT, self.open.wait()).await {
            Ok(()) => std::future::pending().await,
            Err(_) => Failure::Late,
        }
    }

    /// From the channel to the caller.
    async fn receive(&self, mut channels: mpsc::Receiver<Arc<dyn DataChannel>>) -> Failure {
        let channel = tokio::select! {
            channel = self.channel.wait() => channel,
            Some(channel) = channels.recv() => {
                if !is_ours(&*channel).await || self.channel.set(channel).is_err() {
                    return Failure::ForeignChannel;
                }
                self.channel.wait().await
            }
        };
        tokio::select! {
            failure = self.deliver(&**channel) => failure,
            Some(_) = channels.recv() => Failure::ForeignChannel,
        }
    }

    async fn deliver(&self, channel: &dyn DataChannel) -> Failure {
        while let Some(event) = channel.poll().await {
            let event = match event {
                DataChannelEvent::OnOpen => {
                    self.runtime.pace.settled();
                    self.bridges.settle();
                    let _ = self.open.set(());
                    let way = self.way().await;
                    tracing::debug!(way, "open");
                    RtcEvent::Open
                }
                DataChannelEvent::OnMessage(message) => RtcEvent::Message(message.data.freeze()),
                // Nothing comes after it, and `poll` may never return again.
                DataChannelEvent::OnClose => break,
                _ => continue,
            };
            if self.events.send(event).await.is_err() {
                return Failure::Unread;
            }
        }
        Failure::ClosedByPeer
    }

    /// Over which kinds of addresses the connection goes.
    async fn way(&self) -> &'static str {
        let Some(sctp) = self.connection.sctp().await else { return "unknown" };
        let pair = sctp.transport().ice_transport().get_selected_candidate_pair().await;
        match pair {
            Ok(Some(pair)) => {
                let relays =
                    [pair.local(), pair.remote()].iter().any(|it| it.typ == RTCIceCandidateType::Relay);
                if relays { "relay" } else { "direct" }
            }
            _ => "unknown",
        }
    }

    /// From the caller to the channel.
    async fn send(&self, mut outbox: mpsc::Receiver<Bytes>, unsent: &AtomicUsize) -> Failure {
        self.open.wait().await;
        let channel = self.channel.wait().await;
        while let Some(data) = outbox.recv().await {
            let length = data.len();
            let data = data.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            if let Err(error) = channel.send(data).await {
                return Failure::Send(error.to_string());
            }
            unsent.fetch_sub(length, Ordering::AcqRel);
            if self.events.send(RtcEvent::Sent(length)).await.is_err() {
                return Failure::Unread;
            }
        }
        std::future::pending().await
    }

    /// Without a close, the peer would learn of the end only from its timeouts.
    async fn close(self) {
        self.runtime.pace.settled();
        match tokio::time::timeout(CLOSE_WAIT, self.connection.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::debug!("closing failed"),
            Err(_) => tracing::warn!("closing took too long"),
        }
        let stopped = tokio::time::timeout(CLOSE_WAIT, self.runtime.stopped());
        drop(self.channel);
        drop(self.connection);
        if stopped.await.is_err() {
            tracing::warn!("the driver of a closed connection goes on");
        }
    }
}

async fn is_ours(channel: &dyn DataChannel) -> bool {
    matches!(channel.label().await.as_deref(), Ok(LABEL))
        && matches!(channel.ordered().await, Ok(true))
        && matches!(channel.max_retransmits().await, Ok(None))
        && matches!(channel.max_packet_life_time().await, Ok(None))
}
