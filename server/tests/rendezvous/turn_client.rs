//! A TURN client that says what it is told to say, over UDP or TCP.

use std::net::SocketAddr;
use std::time::Duration;

use stun_types::attribute::{ErrorCode, Nonce, Realm, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWriteVec, Method,
};
use stun_types::prelude::*;
use symbolon_core::signal::IceServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use turn_types::attribute::{
    ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

use crate::support::within;

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// One 5-tuple.
pub(crate) struct TurnClient {
    wire: Wire,
    pub(crate) username: String,
    pub(crate) password: String,
    challenge: Option<(Realm, Nonce)>,
}

impl TurnClient {
    /// From a socket of its own to the address of the URL with this ending.
    pub(crate) async fn new(servers: &[IceServer], transport: &str) -> Self {
        let server = servers.iter().find(|server| !server.username.is_empty()).unwrap();
        let url = server.urls.iter().find(|url| url.ends_with(transport)).unwrap();
        let address: SocketAddr =
            url.split([':', '?']).skip(1).take(2).collect::<Vec<_>>().join(":").parse().unwrap();
        let wire = if transport == "udp" {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.connect(address).await.unwrap();
            Wire::Udp(socket)
        } else {
            Wire::Tcp(TcpStream::connect(address).await.unwrap())
        };
        let (username, password) = (server.username.clone(), server.credential.clone());
        Self { wire, username, password, challenge: None }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        match &self.wire {
            Wire::Udp(socket) => socket.local_addr().unwrap(),
            Wire::Tcp(stream) => stream.local_addr().unwrap(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Udp(socket) => drop(socket.send(bytes).await.unwrap()),
            Wire::Tcp(stream) => {
                let mut bytes = bytes.to_vec();
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                stream.write_all(&bytes).await.unwrap();
            }
        }
    }

    /// The next message, padding included.
    pub(crate) async fn recv(&mut self) -> Vec<u8> {
        within(async {
            let mut buffer = vec![0; 70_000];
            match &mut self.wire {
                Wire::Udp(socket) => {
                    let len = socket.recv(&mut buffer).await.unwrap();
                    buffer.truncate(len);
                }
                Wire::Tcp(stream) => {
                    stream.read_exact(&mut buffer[..4]).await.unwrap();
                    let len = usize::from(u16::from_be_bytes([buffer[2], buffer[3]]));
                    let len = if buffer[0] < 4 { 20 + len } else { 4 + len.next_multiple_of(4) };
                    stream.read_exact(&mut buffer[4..len]).await.unwrap();
                    buffer.truncate(len);
                }
            }
            buffer
        })
        .await
    }

    /// Everything that comes until the server has answered a binding request: what was to come came before.
    pub(crate) async fn drain(&mut self) -> Vec<Vec<u8>> {
        let request = Message::builder_request(BINDING, MessageWriteVec::new());
        let transaction = request.transaction_id();
        self.send(&request.finish()).await;
        let mut came = Vec::new();
        loop {
            let bytes = self.recv().await;
            if Message::from_bytes(&bytes).is_ok_and(|message| message.transaction_id() == transaction) {
                return came;
            }
            came.push(bytes);
        }
    }

    pub(crate) async fn mapped_address(&mut self) -> SocketAddr {
        self.send(&Message::builder_request(BINDING, MessageWriteVec::new()).finish()).await;
        let answer = self.recv().await;
        let answer = Message::from_bytes(&answer).unwrap();
        answer.attribute::<XorMappedAddress>().unwrap().addr(answer.transaction_id())
    }

    /// A request signed with what is known, as bytes.
    pub(crate) fn signed(&self, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        self.signed_with(method, |out| {
            for attribute in attributes {
                out.add_attribute(*attribute).unwrap();
            }
        })
    }

    fn signed_with(&self, method: Method, fill: impl Fn(&mut MessageWriteVec)) -> Vec<u8> {
        let mut out = Message::builder_request(method, MessageWriteVec::new());
        fill(&mut out);
        if let Some((realm, nonce)) = &self.challenge {
            out.add_attribute(&Username::new(&self.username).unwrap()).unwrap();
            out.add_attribute(realm).unwrap();
            out.add_attribute(nonce).unwrap();
            let realm = realm.realm().to_owned();
            let key = LongTermKeyCredentials::new(self.username.clone(), self.password.clone(), realm);
            out.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).unwrap();
        }
        out.finish()
    }

    /// Asks, with credentials once the server has asked for them; gives the answer, or the error's code.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        fill: impl Fn(&mut MessageWriteVec),
    ) -> Result<Vec<u8>, u16> {
        for _ in 0..2 {
            let request = self.signed_with(method, &fill);
            self.send(&request).await;
            let bytes = self.recv().await;
            let answer = Message::from_bytes(&bytes).unwrap();
            if answer.has_class(MessageClass::Success) {
                return Ok(bytes);
            }
            let code = answer.attribute::<ErrorCode>().unwrap().code();
            match (answer.attribute::<Realm>(), answer.attribute::<Nonce>(), &self.challenge) {
                (Ok(realm), Ok(nonce), None) => self.challenge = Some((realm, nonce)),
                _ => return Err(code),
            }
        }
        Err(401)
    }

    /// Gets a relay; gives its address.
    pub(crate) async fn allocate(&mut self) -> Result<SocketAddr, u16> {
        let udp = RequestedTransport::new(RequestedTransport::UDP);
        let bytes = self.ask(ALLOCATE, |out| out.add_attribute(&udp).unwrap()).await?;
        let answer = Message::from_bytes(&bytes).unwrap();
        let mapped = answer.attribute::<XorMappedAddress>().unwrap().addr(answer.transaction_id());
        assert_eq!(mapped, self.local_addr());
        Ok(answer.attribute::<XorRelayedAddress>().unwrap().addr(answer.transaction_id()))
    }

    pub(crate) async fn refresh(&mut self, lifetime: Duration) -> Result<u32, u16> {
        let lifetime = Lifetime::new(u32::try_from(lifetime.as_secs()).unwrap());
        let bytes = self.ask(REFRESH, |out| out.add_attribute(&lifetime).unwrap()).await?;
        Ok(Message::from_bytes(&bytes).unwrap().attribute::<Lifetime>().unwrap().seconds())
    }

    pub(crate) async fn permit(&mut self, peer: SocketAddr) -> Result<(), u16> {
        let fill = |out: &mut MessageWriteVec| {
            let peer = XorPeerAddress::new(peer, out.transaction_id());
            out.add_attribute(&peer).unwrap();
        };
        self.ask(CREATE_PERMISSION, fill).await.map(drop)
    }

    pub(crate) async fn bind(&mut self, channel: u16, peer: SocketAddr) -> Result<(), u16> {
        let fill = |out: &mut MessageWriteVec| {
            out.add_attribute(&ChannelNumber::new(channel)).unwrap();
            let peer = XorPeerAddress::new(peer, out.transaction_id());
            out.add_attribute(&peer).unwrap();
        };
        self.ask(CHANNEL_BIND, fill).await.map(drop)
    }

    /// Has data sent to a peer, without a channel.
    pub(crate) async fn indicate(&mut self, peer: SocketAddr, data: &[u8]) {
        let mut out = Message::builder_indication(SEND, MessageWriteVec::new());
        let peer = XorPeerAddress::new(peer, out.transaction_id());
        out.add_attribute(&peer).unwrap();
        out.add_attribute(&Data::new(data)).unwrap();
        self.send(&out.finish()).await;
    }
}

/// What a data indication says.
pub(crate) fn indicated(bytes: &[u8]) -> (SocketAddr, Vec<u8>) {
    let message = Message::from_bytes(bytes).unwrap();
    let peer = message.attribute::<XorPeerAddress>().unwrap().addr(message.transaction_id());
    (peer, message.attribute::<Data>().unwrap().data().to_vec())
}
