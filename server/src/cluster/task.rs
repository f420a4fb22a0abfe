//! The loop that drives the cluster's machine: feeds it what happens, does what it says.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::FutureExt as _;
use futures_util::stream::{AbortHandle, Abortable, SelectAll, StreamExt as _};
use symbolon_core::id::Topic;
use symbolon_core::rendezvous::cluster::{Cluster, ClusterOutput, Identity, MAX_BUS_MESSAGE, Noted, Subject};
use tokio::sync::oneshot;

use super::link::{Deed, Link};
use super::nats::{Bus, Down, Status, Subscription};
use super::{ClusterError, ClusterStatus};
use crate::client::Shared;
use crate::outbox::Due;

/// How much of one kind is dealt with before the other has its turn.
const AT_ONCE: usize = 64;

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Task {
    machine: Cluster,
    name: String,
    bus: Bus,
    known: Status,
    incoming: SelectAll<Abortable<Subscription>>,
    rooms: HashMap<Topic, AbortHandle>,
    /// Rooms that could not be subscribed to because the bus went away.
    missing: Vec<Topic>,
    link: Arc<Link>,
    status: Arc<ClusterStatus>,
    shared: Arc<Shared>,
    messages_in: u64,
    messages_out: u64,
}

impl Task {
    pub(super) async fn new(
        identity: Identity,
        name: String,
        bus: Bus,
        link: Arc<Link>,
        status: Arc<ClusterStatus>,
        shared: Arc<Shared>,
    ) -> Result<Self, ClusterError> {
        let mut incoming = SelectAll::new();
        for subject in [Subject::All, Subject::Server(identity.instance)] {
            let (_, never) = AbortHandle::new_pair();
            incoming.push(Abortable::new(bus.subscribe_first(subject.name(&name)).await?, never));
        }
        tracing::info!(instance = %identity.instance, "this server is part of a cluster");
        Ok(Self {
            machine: Cluster::new(identity, shared.clock.now()),
            name,
            bus,
            known: Status::default(),
            incoming,
            rooms: HashMap::new(),
            missing: Vec::new(),
            link,
            status,
            shared,
            messages_in: 0,
            messages_out: 0,
        })
    }

    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut deeds = Vec::new();
        loop {
            self.settle().await;
            let at = self.shared.clock.instant(self.machine.poll_timeout());
            tokio::select! {
                           () = self.bus.changed(self.known) => self.bus_changed().await,
                           Some(message) = self.incoming.next() => {
                               self.hear(&message);
                               // More that is here already.
                               for _ in 1..AT_ONCE {
                                   let Some(Some(message)) = self.incoming.next().now_or_never() else { break };
                                   self.hear(&message);
                               }
                           }
                           () = self.link.filled() => {
                               self.link.take(AT_ONCE, &mut deeds);
                               for deed in deeds.drain(..) {
            self.deed(deed);
            }
                           }
                           () = tokio::time::sleep_until(at) => {
                               self.bus.check();
                               self.machine.handle_timeout(self.shared.clock.now());
                           }
                           _ = &mut stopped => break,
                       }
        }
        let _ = tokio::time::timeout(FAREWELL, self.say_goodbye()).await;
    }

    fn hear(&mut self, message: &[u8]) {
        self.messages_in += 1;
        self.machine.handle_message(message, self.shared.clock.now());
    }

    fn deed(&mut self, deed: Deed) {
        match deed {
            Deed::Enter(topic, session, announcement) => {
                self.machine.handle_enter(topic, session, announcement);
            }
            Deed::Leave(topic, session) => self.machine.handle_leave(topic, session),
            Deed::Signal { topic, from, to, body } => self.machine.handle_signal(topic, from, to, body),
        }
    }

    async fn bus_changed(&mut self) {
        let before = std::mem::replace(&mut self.known, self.bus.status());
        let now = self.shared.clock.now();
        if self.known.connections != before.connections {
            tracing::info!("connected to the bus");
            for topic in std::mem::take(&mut self.missing) {
                self.subscribe(topic).await;
            }
            self.machine.handle_up(now);
        } else if self.known.lost != before.lost {
            tracing::warn!(messages = self.known.lost - before.lost, "the bus was not read fast enough");
            self.machine.handle_loss(now);
        }
        if let Some(most) = self.known.narrow.filter(|_| self.known.narrow != before.narrow) {
            self.show();
            tracing::error!(
                "the bus passes messages of {most} bytes at most, and servers send each other up to {MAX_BUS_MESSAGE}: \
                 larger ones are lost; let `max_payload` of NATS be at least as much"
            );
        }
        if !self.known.up && self.machine.is_up() {
            tracing::warn!("the bus is gone; clients of other servers are out of reach");
            self.machine.handle_down();
        }
    }

    /// Does what the machine says.
    async fn settle(&mut self) {
        let mut due = Due::default();
        while let Some(output) = self.machine.poll_output() {
            match output {
                ClusterOutput::Tell(topic, what) => self.shared.registry.elsewhere(topic, what, &mut due),
                ClusterOutput::Relay { topic, from, to, body } => {
                    self.shared.registry.relay_in(topic, from, to, &body, &mut due);
                }
                ClusterOutput::Publish(subject, bytes) => {
                    // Others' clients do not wait for the bus.
                    let publishing = self.bus.publish(subject.name(&self.name), bytes);
                    let mut publishing = std::pin::pin!(publishing);
                    let published = if let Some(published) = publishing.as_mut().now_or_never() {
                        published
                    } else {
                        due.flush();
                        publishing.await
                    };
                    self.messages_out += u64::from(published.is_ok());
                }
                ClusterOutput::Subscribe(topic) => {
                    due.flush();
                    self.subscribe(topic).await;
                }
                ClusterOutput::Unsubscribe(topic) => {
                    self.missing.retain(|missing| *missing != topic);
                    if let Some(handle) = self.rooms.remove(&topic) {
                        handle.abort();
                    }
                }
                ClusterOutput::Noted(noted) => log(noted),
            }
        }
        drop(due);
        self.show();
    }

    async fn subscribe(&mut self, topic: Topic) {
        match self.bus.subscribe(Subject::Room(topic).name(&self.name)).await {
            Ok(subscription) => {
                let (handle, registration) = AbortHandle::new_pair();
                self.incoming.push(Abortable::new(subscription, registration));
                self.rooms.insert(topic, handle);
            }
            Err(Down) => self.missing.push(topic),
        }
    }

    fn show(&self) {
        let counts = self.machine.counts();
        self.status.connected.store(self.machine.is_up(), Ordering::Relaxed);
        self.status.servers.store(self.machine.servers(), Ordering::Relaxed);
        self.status.foreign.store(self.machine.foreign(), Ordering::Relaxed);
        self.status.narrow.store(self.known.narrow.unwrap_or_default(), Ordering::Relaxed);
        let values = [
            self.messages_in,
            self.messages_out,
            counts.garbage,
            counts.asked + counts.restated,
            counts.dropped,
            self.known.lost,
        ];
        for (shown, value) in self.status.counts.iter().zip(values) {
            shown.store(value, Ordering::Relaxed);
        }
    }

    async fn say_goodbye(&mut self) {
        let mut deeds = Vec::new();
        self.link.take(usize::MAX, &mut deeds);
        for deed in deeds {
            self.deed(deed);
        }
        self.machine.handle_shutdown();
        self.settle().await;
        self.bus.flush().await;
    }
}

fn log(noted: Noted) {
    match noted {
        Noted::Joined(instance) => tracing::info!(%instance, "another server of the cluster is there"),
        Noted::Stopped(instance) => tracing::info!(%instance, "another server of the cluster has stopped"),
        Noted::Lost(instance) => tracing::warn!(%instance, "another server of the cluster is silent"),
        Noted::Foreign(instance, _, version) => tracing::error!(
            %instance,
            version,
            "a server with another key or version is on this bus and is not heard; all servers of a cluster need the \
             same key file and the same version"
        ),
        Noted::OtherOrigins(instance) => tracing::warn!(
            %instance,
            "another server of the cluster has other origins; clients that dial an origin only some servers have are \
             refused by the others"
        ),
    }
}
