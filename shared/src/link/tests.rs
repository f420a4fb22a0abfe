use super::*;
use crate::id::{RoomId, SessionId};

const ROOM: RoomId = RoomId::from_bytes([1; 32]);
const SESSIONS: [SessionId; 2] = [SessionId::from_bytes([2; 32]), SessionId::from_bytes([3; 32])];
const DEVICES: [DeviceId; 2] = [DeviceId::from_bytes([4; 32]), DeviceId::from_bytes([5; 32])];
const TAG: [u8; 8] = [6; 8];

fn now(seconds: u64) -> Now {
    Now { monotonic: Duration::from_secs(seconds), unix_ms: 0 }
}

fn secret(n: u8) -> BoxSecret {
    crate::crypto::keys::DeviceKeys::from_seed(&[n; 32]).box_secret.clone()
}

fn outputs(link: &mut Link) -> Vec<LinkOutput> {
    std::iter::from_fn(|| link.poll_output()).collect()
}

fn caller() -> Link {
    let prologue = prologue(&ROOM, &SESSIONS[0], &SESSIONS[1], &TAG);
    let (own, remote) = (secret(1), secret(2).public());
    let mut link = Link::call(DEVICES[1], remote, &own, prologue, TAG, Rng::from_seed([7; 32]), now(0));
    assert_eq!(outputs(&mut link), [LinkOutput::MakeOffer]);
    link
}

/// Both sides, with the handshake done and the channels not yet open.
fn pair() -> [Link; 2] {
    let mut caller = caller();
    caller.handle_description("offer".into());
    let out = outputs(&mut caller);
    let [LinkOutput::Signal(first)] = &out[..] else { panic!("{out:?}") };
    let first = Signal::decode(first).unwrap();
    let bound = prologue(&ROOM, &SESSIONS[0], &SESSIONS[1], &TAG);
    let mut rng = Rng::from_seed([8; 32]);
    let key = secret(1).public();
    let incoming = Incoming::read(&secret(2), Some(&key), &bound, TAG, first.payload, &mut rng).unwrap();
    let mut called = Link::answer(DEVICES[0], incoming, &secret(2), now(0));
    assert_eq!(outputs(&mut called), [LinkOutput::MakeAnswer("offer".into())]);
    called.handle_description("answer".into());
    let out = outputs(&mut called);
    let [LinkOutput::Signal(second)] = &out[..] else { panic!("{out:?}") };
    let second = Signal::decode(second).unwrap();
    caller.handle_signal(second.kind, second.payload);
    assert_eq!(outputs(&mut caller), [LinkOutput::AcceptAnswer("answer".into())]);
    [caller, called]
}

fn parts(link: &mut Link) -> Vec<Vec<u8>> {
    let part = |output| match output {
        LinkOutput::Channel(part) => Some(part),
        _ => None,
    };
    outputs(link).into_iter().filter_map(part).collect()
}

#[test]
fn a_link_is_up_once_both_have_shown_that_they_made_the_handshake() {
    let [mut a, mut b] = pair();
    a.handle_open(now(1));
    let from_a = parts(&mut a);
    b.handle_channel(&from_a[0], now(1));
    let out = outputs(&mut b);
    assert!(b.is_up() && matches!(&out[..], [LinkOutput::Channel(_), LinkOutput::Up]), "{out:?}");
    let LinkOutput::Channel(part) = &out[0] else { unreachable!() };
    a.handle_channel(part, now(1));
    assert_eq!((a.is_up(), outputs(&mut a)), (true, vec![LinkOutput::Up]));
}

/// A message can be faster than the word that the channel is open. Confirming a second time took the link down.
#[test]
fn me3_an_opening_that_is_told_late_or_twice_changes_nothing() {
    let [mut a, mut b] = pair();
    a.handle_open(now(1));
    a.handle_open(now(1));
    let from_a = parts(&mut a);
    assert_eq!(from_a.len(), 1);
    b.handle_channel(&from_a[0], now(1));
    let from_b = parts(&mut b);
    b.handle_open(now(2));
    assert!(b.is_up() && parts(&mut b).is_empty());
    a.handle_channel(&from_b[0], now(2));
    a.close(CloseReason::Replaced);
    a.handle_open(now(3));
    assert!(a.is_closed());
}

/// The handshake's message has no room for it. The attempt was neither closed nor did it ever time out.
#[test]
fn me3_a_description_that_is_too_long_ends_the_attempt() {
    let mut link = caller();
    link.handle_description("x".repeat(70_000));
    assert!(matches!(outputs(&mut link)[..], [LinkOutput::Closed(_)]));
    assert!(link.is_closed());
}
