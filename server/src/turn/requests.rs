//! The four requests for which one needs credentials.

use std::time::Duration;

use stun_types::AddressFamily;
use stun_types::attribute::{
    AttributeType, ErrorCode, Fingerprint, MessageIntegrity, Nonce, Realm, Username, XorMappedAddress,
};
use stun_types::message::{IntegrityKey, Message};
use stun_types::prelude::*;
use symbolon_core::rendezvous::Source;
use symbolon_core::time::Now;
use turn_types::attribute::{
    ChannelNumber, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use super::allocation::{Allocation, Refused};
use super::auth::Caller;
use super::machine::{Client, Machine, Output, RelayId, canonical};
use super::replies;

/// RFC 8656 §7.2: what is granted if nothing is asked for, and the most.
const LIFETIME: u32 = 10 * 60;
const MAX_LIFETIME: u32 = 60 * 60;

/// What is understood of the attributes that must be.
const UNDERSTOOD: [AttributeType; 10] = [
    Username::TYPE,
    Realm::TYPE,
    Nonce::TYPE,
    MessageIntegrity::TYPE,
    Fingerprint::TYPE,
    Lifetime::TYPE,
    RequestedTransport::TYPE,
    RequestedAddressFamily::TYPE,
    XorPeerAddress::TYPE,
    ChannelNumber::TYPE,
];

impl Machine {
    pub(super) fn handle_request(&mut self, client: Client, request: &Message<'_>, now: Now) {
        let caller = match self.gate.check(request, client.address, now) {
            Ok(caller) => caller,
            Err(code) => return self.challenge(client, request, code, now),
        };
        let unknown: Vec<AttributeType> = request
            .iter_attributes()
            .map(|(_, attribute)| attribute.get_type())
            .filter(|kind| kind.comprehension_required() && !UNDERSTOOD.contains(kind))
            .collect();
        if !unknown.is_empty() {
            let answer = replies::unknown(request, &unknown, &caller.key);
            return self.answer(client, answer);
        }
        let key = caller.key.clone();
        let relay = self.by_client.get(&client).copied();
        if let Some(allocation) = relay.and_then(|relay| self.allocations.get(&relay))
            && allocation.caller.username != caller.username
        {
            return self.refuse(client, request, ErrorCode::WRONG_CREDENTIALS, &key);
        }
        let done = match (request.method(), relay) {
            (ALLOCATE, None) => self.allocate(client, request, caller, now),
            (ALLOCATE, Some(relay)) => self.allocate_again(relay, request),
            (REFRESH, Some(relay)) => self.refresh(client, relay, request, now),
            (CREATE_PERMISSION, Some(relay)) => self.create_permission(client, relay, request, now),
            (CHANNEL_BIND, Some(relay)) => self.bind_channel(client, relay, request, now),
            // What is given back twice is given back.
            (REFRESH | CREATE_PERMISSION | CHANNEL_BIND, None) => Err(ErrorCode::ALLOCATION_MISMATCH),
            _ => Err(ErrorCode::BAD_REQUEST),
        };
        if let Err(code) = done {
            self.refuse(client, request, code, &key);
        }
    }

    /// Says what is missing, and how to come again; seldom enough that nobody is flooded in another's name.
    fn challenge(&mut self, client: Client, request: &Message<'_>, code: u16, now: Now) {
        if !self.strangers.may_answer(client.address.ip(), now.monotonic) {
            return;
        }
        let answer = match (code, self.gate.nonce(client.address, now)) {
            (ErrorCode::UNAUTHORIZED | ErrorCode::STALE_NONCE, Some(nonce)) => {
                replies::error(request, code, &[&self.gate.realm, &nonce], None)
            }
            _ => replies::error(request, code, &[], None),
        };
        self.answer(client, answer);
    }

    pub(super) fn refuse(&mut self, client: Client, request: &Message<'_>, code: u16, key: &IntegrityKey) {
        self.used.refused += 1;
        self.answer(client, replies::error(request, code, &[], Some(key)));
    }

    fn answer(&mut self, client: Client, bytes: Vec<u8>) {
        self.outputs.push_back(Output::ToClient(client, bytes));
    }

    fn allocate(
        &mut self,
        client: Client,
        request: &Message<'_>,
        caller: Caller,
        now: Now,
    ) -> Result<(), u16> {
        let signed_in = self.sessions.get(&caller.name).is_some_and(|session| session.open);
        if !signed_in || caller.expiry < now.unix_ms / 1000 {
            return Err(ErrorCode::UNAUTHORIZED);
        }
        let transport = request.attribute::<RequestedTransport>().map_err(|_| ErrorCode::BAD_REQUEST)?;
        if transport.protocol() != RequestedTransport::UDP {
            return Err(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL);
        }
        let family = match request.raw_attribute(RequestedAddressFamily::TYPE) {
            None => AddressFamily::IPV4,
            Some(raw) => RequestedAddressFamily::from_raw(raw)
                .map_err(|_| ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)?
                .family(),
        };
        if !self.public.iter().any(|address| address.is_ipv4() == (family == AddressFamily::IPV4)) {
            return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
        }
        let source = Source::from(client.address.ip());
        if self.allocations.len() >= self.limits.allocations {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        let here = self.sources.get(&source).copied().unwrap_or(0);
        let session = self.sessions.get_mut(&caller.name).ok_or(ErrorCode::UNAUTHORIZED)?;
        if here >= self.limits.allocations_per_address
            || session.allocations >= self.limits.allocations_per_session
        {
            return Err(ErrorCode::ALLOCATION_QUOTA_REACHED);
        }
        session.allocations += 1;
        *self.sources.entry(source).or_default() += 1;
        let relay = RelayId(self.next);
        self.next += 1;
        let lifetime = asked_lifetime(request).unwrap_or(LIFETIME).max(LIFETIME);
        let until = now.monotonic + Duration::from_secs(lifetime.into());
        let allocation = Allocation::new(client, source, caller, request.transaction_id(), until, lifetime);
        self.allocations.insert(relay, allocation);
        self.by_client.insert(client, relay);
        self.pending.insert(relay, request.as_bytes().to_vec());
        self.outputs.push_back(Output::Bind(relay, family));
        Ok(())
    }

    /// The same request once more: its answer was lost, or overtaken.
    fn allocate_again(&mut self, relay: RelayId, request: &Message<'_>) -> Result<(), u16> {
        let allocation = self.allocations.get(&relay).ok_or(ErrorCode::SERVER_ERROR)?;
        if allocation.born != request.transaction_id() || allocation.relayed.is_none() {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        self.answer_allocated(relay, request);
        Ok(())
    }

    pub(super) fn answer_allocated(&mut self, relay: RelayId, request: &Message<'_>) {
        let Some(allocation) = self.allocations.get(&relay) else { return };
        let Some(relayed) = allocation.relayed else { return };
        let transaction = request.transaction_id();
        let relayed = XorRelayedAddress::new(relayed, transaction);
        let mapped = XorMappedAddress::new(allocation.client.address, transaction);
        let lifetime = Lifetime::new(allocation.lifetime);
        let key = Some(&allocation.caller.key);
        let answer = replies::success(request, &[&relayed, &mapped, &lifetime], key);
        let client = allocation.client;
        self.answer(client, answer);
    }

    fn refresh(
        &mut self,
        client: Client,
        relay: RelayId,
        request: &Message<'_>,
        now: Now,
    ) -> Result<(), u16> {
        let allocation = self.allocations.get_mut(&relay).ok_or(ErrorCode::SERVER_ERROR)?;
        let key = allocation.caller.key.clone();
        let mut lifetime = match asked_lifetime(request) {
            Some(0) => 0,
            asked => asked.unwrap_or(LIFETIME).max(LIFETIME),
        };
        // A session that is gone keeps what it has until its time is over.
        if let Some(until) = self.sessions.get(&allocation.caller.name).and_then(|session| session.until) {
            let left = until.saturating_sub(now.monotonic).as_secs();
            lifetime = lifetime.min(u32::try_from(left).unwrap_or(u32::MAX));
        }
        allocation.until = now.monotonic + Duration::from_secs(lifetime.into());
        if lifetime == 0 {
            self.end(relay);
        }
        self.answer(client, replies::success(request, &[&Lifetime::new(lifetime)], Some(&key)));
        Ok(())
    }

    fn create_permission(
        &mut self,
        client: Client,
        relay: RelayId,
        request: &Message<'_>,
        now: Now,
    ) -> Result<(), u16> {
        let mut peers = Vec::new();
        for (_, attribute) in request.iter_attributes() {
            if attribute.get_type() == XorPeerAddress::TYPE {
                let peer = XorPeerAddress::from_raw(attribute).map_err(|_| ErrorCode::BAD_REQUEST)?;
                peers.push(self.reachable(relay, &peer, request)?.ip());
            }
        }
        if peers.is_empty() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let most = self.limits.peers;
        let allocation = self.allocations.get_mut(&relay).ok_or(ErrorCode::SERVER_ERROR)?;
        allocation.permit(&peers, most, now.monotonic).map_err(|_| ErrorCode::INSUFFICIENT_CAPACITY)?;
        let answer = replies::success(request, &[], Some(&allocation.caller.key));
        self.answer(client, answer);
        Ok(())
    }

    fn bind_channel(
        &mut self,
        client: Client,
        relay: RelayId,
        request: &Message<'_>,
        now: Now,
    ) -> Result<(), u16> {
        let (Ok(number), Ok(peer)) =
            (request.attribute::<ChannelNumber>(), request.attribute::<XorPeerAddress>())
        else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        // RFC 8656 §12: the others are reserved.
        if !(0x4000..=0x4fff).contains(&number.channel()) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let peer = self.reachable(relay, &peer, request)?;
        let most = self.limits.peers;
        let allocation = self.allocations.get_mut(&relay).ok_or(ErrorCode::SERVER_ERROR)?;
        allocation.bind(number.channel(), peer, most, now.monotonic).map_err(|refused| match refused {
            Refused::TooMany => ErrorCode::INSUFFICIENT_CAPACITY,
            Refused::Taken => ErrorCode::BAD_REQUEST,
        })?;
        let answer = replies::success(request, &[], Some(&allocation.caller.key));
        self.answer(client, answer);
        Ok(())
    }

    /// A peer's address, if this relay may talk with it.
    fn reachable(
        &self,
        relay: RelayId,
        peer: &XorPeerAddress,
        request: &Message<'_>,
    ) -> Result<std::net::SocketAddr, u16> {
        let peer = canonical(peer.addr(request.transaction_id()));
        let relayed = self.allocations.get(&relay).and_then(|allocation| allocation.relayed);
        if relayed.is_some_and(|relayed| relayed.is_ipv4() != peer.is_ipv4()) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        if self.may_reach(peer.ip()) { Ok(peer) } else { Err(ErrorCode::FORBIDDEN) }
    }
}

fn asked_lifetime(request: &Message<'_>) -> Option<u32> {
    request.attribute::<Lifetime>().ok().map(|lifetime| lifetime.seconds().min(MAX_LIFETIME))
}
