//! What goes wrong, drawn at random, and how it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use super::host::{Crash, Document};
use super::net::between;
use super::{Event, HostId, ServerId, World};
use crate::node::Input;

/// The end of a fault.
#[derive(Debug, Clone)]
pub(super) enum Recovery {
    Boot(HostId),
    Wake(HostId),
    /// The driver sees that its network is another, or that time is missing.
    Noticed(HostId),
    StartServer(ServerId),
    Rejoin(BTreeSet<HostId>),
}

impl<D: Document> World<D> {
    pub(super) fn recover(&mut self, recovery: Recovery) {
        match recovery {
            Recovery::Boot(host) => self.boot(host),
            Recovery::Wake(host) => self.wake(host),
            Recovery::Noticed(host) => {
                if self.hosts[host.0].asleep.is_none() {
                    self.input(host, Input::NetworkChanged);
                }
            }
            Recovery::StartServer(server) => self.start_server(server),
            Recovery::Rejoin(hosts) => self.rejoin(&hosts),
        }
    }

    /// One random fault. What it breaks comes back within half a minute.
    pub fn stir(&mut self) {
        let host = HostId(self.rng.below(self.hosts.len() as u64) as usize);
        let other = HostId(self.rng.below(self.hosts.len() as u64) as usize);
        let server = ServerId(self.rng.below(self.servers.len() as u64) as usize);
        let silent = self.rng.below(2) == 0;
        let time = Duration::from_millis(between((200, 30_000), &mut self.rng));
        match self.rng.below(12) {
            0 | 1 => {
                let some = self.hosts().filter(|host| (host.0 + other.0).is_multiple_of(2)).collect();
                let hosts = if silent { BTreeSet::from([host]) } else { some };
                self.part(&hosts);
                self.after(time, Event::Recover(Recovery::Rejoin(hosts)));
            }
            2 | 3 => {
                self.kill_server(server, silent);
                self.after(time, Event::Recover(Recovery::StartServer(server)));
            }
            4 => {
                self.cut_socket(host, server, silent);
            }
            5 | 6 => {
                self.cut_link(host, other, silent);
            }
            7 | 8 => {
                let when = [Crash::Now, Crash::BeforeCommit, Crash::AfterCommit][self.rng.below(3) as usize];
                self.hosts[host.0].back = Some(time);
                self.crash(host, when);
            }
            9 => self.sleep(host, time),
            10 => self.change_network(host),
            _ => {}
        }
    }

    /// Ends every fault: all are switched on, awake, and reach each other.
    pub fn calm(&mut self) {
        self.apart.clear();
        self.events.retain(|_, event| !matches!(event, Event::Recover(Recovery::Rejoin(_))));
        for server in 0..self.servers.len() {
            self.start_server(ServerId(server));
        }
        for host in self.hosts() {
            self.hosts[host.0].doom_lifted();
            self.wake(host);
            self.boot(host);
        }
    }
}
