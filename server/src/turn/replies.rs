//! STUN messages as this server writes them: no software, no words beside an error's code, so that they are short.

use stun_types::attribute::{AttributeType, ErrorCode, UnknownAttributes};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, Message, MessageWriteVec};
use stun_types::prelude::*;
use turn_types::attribute::{Data, XorPeerAddress};
use turn_types::channel::ChannelData;
use turn_types::message::DATA;

/// A success with these attributes.
pub(super) fn success(
    request: &Message<'_>,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    finish(Message::builder_success(request, MessageWriteVec::with_capacity(96)), attributes, key)
}

/// An error with these attributes beside its code.
pub(super) fn error(
    request: &Message<'_>,
    code: u16,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    let mut out = Message::builder_error(request, MessageWriteVec::with_capacity(96));
    if let Ok(code) = ErrorCode::new(code, "") {
        let _ = out.add_attribute(&code);
    }
    finish(out, attributes, key)
}

/// 420, naming what was not understood.
pub(super) fn unknown(request: &Message<'_>, types: &[AttributeType], key: &IntegrityKey) -> Vec<u8> {
    error(request, ErrorCode::UNKNOWN_ATTRIBUTE, &[&UnknownAttributes::new(types)], Some(key))
}

fn finish(
    mut out: MessageWriteVec,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    for attribute in attributes {
        // Fails only for what is given twice.
        let _ = out.add_attribute(*attribute);
    }
    if let Some(key) = key {
        let _ = out.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1);
    }
    out.finish()
}

/// What a peer sent, for a client that has no channel for it.
pub(super) fn data_indication(peer: std::net::SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut out = Message::builder_indication(DATA, MessageWriteVec::with_capacity(data.len() + 64));
    let peer = XorPeerAddress::new(peer, out.transaction_id());
    let _ = out.add_attribute(&peer);
    let _ = out.add_attribute(&Data::new(data));
    out.finish()
}

/// The same through a channel, padded as streams need it and datagrams allow it.
pub(super) fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0; data.len() + 4];
    ChannelData::new(number, data).write_into_unchecked(&mut out);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}
