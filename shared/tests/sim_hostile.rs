//! A server that lies, and newcomers whose tickets do not fit.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod sim;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim::{S, Sim, Wire, all_linked, is_ready, options, picture, room, settled, ticket, world};
use symbolon_core::id::{RoomId, SessionId};
use symbolon_core::node::InviteOptions;
use symbolon_core::signal::{Bytes, ClientMessage, ServerMessage};
use symbolon_core::sim::{Conditions, Direction, HostId, Passing, ServerId, SocketId, Verdict};
use symbolon_core::ticket::Ticket;

fn connections(world: &Sim) -> u64 {
    world.hosts().map(|host| world.connections_made(host)).sum()
}

/// Lets a newcomer with this ticket try for a minute and a half, and looks at every message that the server relays.
fn is_met_with_silence(world: &mut Sim, newcomer: HostId, room: &RoomId, ticket: &Ticket, why: &str) {
    let wire = Wire::watch(world);
    let before = connections(world);
    let rejected: u64 =
        world.hosts().filter_map(|host| world.node(host)).map(|node| node.rejected_proofs()).sum();
    world.join(newcomer, ticket, S(80)).unwrap().unwrap();
    world.run_for(S(90));
    assert!(wire.borrow().signals_by(newcomer) > 0, "{why}: it tried");
    assert_eq!(wire.borrow().signals_to(newcomer), 0, "{why}: somebody answered");
    assert_eq!(connections(world), before, "{why}: a connection was made");
    assert!(!is_ready(world, newcomer, room));
    let now: u64 = world.hosts().filter_map(|host| world.node(host)).map(|node| node.rejected_proofs()).sum();
    assert!(now > rejected, "{why}: its proof was looked at");
}

#[test]
fn ad3_a_ticket_that_does_not_fit_gets_no_signal_and_no_connection() {
    let (mut world, _, hosts, room) = room(1, Conditions::GOOD, &["a", "b", "c"]);
    let good = ticket(&mut world, hosts[0], &room).unwrap();
    let outsider = world.add_host("d");

    let mut wrong = good.clone();
    wrong.seed = [9; 32];
    is_met_with_silence(&mut world, outsider, &room, &wrong, "wrong");

    let short = InviteOptions { expires_ms: world.now().unix_ms + 5_000, ..options(&world) };
    let mut expired = world.with(hosts[0], |node, now| node.invite(&room, &short, now)).unwrap().unwrap();
    world.run_for(S(6));
    expired.expires += 3_600_000;
    is_met_with_silence(&mut world, outsider, &room, &expired, "expired");

    let taker = world.add_host("e");
    world.join(taker, &good, S(30)).unwrap().unwrap();
    assert!(world.run_until(S(30), |w| is_ready(w, taker, &room)));
    world.run_for(S(10));
    is_met_with_silence(&mut world, outsider, &room, &good, "used");

    let whose = sim::device(&world, taker);
    let bound = InviteOptions { bound: Some(whose), ..options(&world) };
    let mut bound = world.with(hosts[0], |node, now| node.invite(&room, &bound, now)).unwrap().unwrap();
    bound.bound = None;
    is_met_with_silence(&mut world, outsider, &room, &bound, "of another device");

    let stranger = world.add_host("f");
    let other = world.create_room(stranger, &[sim::origin()]).unwrap();
    let mut foreign = ticket(&mut world, stranger, &other).unwrap();
    foreign.secret = good.secret.clone();
    foreign.room = room;
    is_met_with_silence(&mut world, outsider, &room, &foreign, "of another room");
}

/// Keeps every signal, and later does with it whatever a server can.
#[derive(Default)]
struct Liar {
    signals: Vec<(SocketId, ClientMessage)>,
    sessions: Vec<(SocketId, SessionId)>,
}

impl Liar {
    fn watch(world: &mut Sim) -> Rc<RefCell<Self>> {
        let liar = Rc::new(RefCell::new(Self::default()));
        let seen = Rc::clone(&liar);
        world.set_between(move |passing: &Passing<'_>| -> Vec<Verdict> {
            if passing.direction == Direction::ToServer {
                let message = ClientMessage::decode(passing.text).unwrap();
                let mut seen = seen.borrow_mut();
                match &message {
                    ClientMessage::Hello(hello) => seen.sessions.push((passing.socket, hello.session)),
                    ClientMessage::Signal { .. } => seen.signals.push((passing.socket, message)),
                    _ => {}
                }
            }
            vec![passing.unchanged()]
        });
        liar
    }

    fn session(&self, socket: SocketId) -> SessionId {
        self.sessions.iter().find(|(of, _)| *of == socket).unwrap().1
    }
}

/// Everything a server has seen, again: to the same session, to all others, and under the name of all others.
#[test]
fn ad6_replayed_moved_and_damaged_signals_make_no_connection() {
    let (mut world, server, mut hosts) = world(2, Conditions::GOOD, &["a", "b", "c"]);
    let liar = Liar::watch(&mut world);
    let room = world.create_room(hosts[0], &[sim::origin()]).unwrap();
    for newcomer in [hosts[1], hosts[2]] {
        let ticket = ticket(&mut world, hosts[0], &room).unwrap();
        world.join(newcomer, &ticket, S(30)).unwrap().unwrap();
        assert!(world.run_until(S(30), |w| is_ready(w, newcomer, &room)));
    }
    // One that waits at the door.
    let outsider = world.add_host("d");
    let mut wrong = ticket(&mut world, hosts[0], &room).unwrap();
    wrong.seed = [9; 32];
    world.join(outsider, &wrong, S(300)).unwrap().unwrap();
    assert!(world.run_until(S(10), |w| all_linked(w, &hosts, &room)));
    world.run_for(S(5));
    let before = connections(&world);
    let (signals, sessions) = {
        let liar = liar.borrow();
        let signals: Vec<_> = liar.signals.iter().map(|(at, m)| (liar.session(*at), m.clone())).collect();
        (signals, liar.sessions.clone())
    };
    assert!(signals.len() > 10, "there is something to replay");
    hosts.push(outsider);
    for (from, message) in signals {
        let ClientMessage::Signal { topic, to: _, body } = message else { unreachable!() };
        for (socket, to) in &sessions {
            let froms = std::iter::once(from).chain(sessions.iter().map(|(_, session)| *session));
            for from in froms.filter(|from| from != to) {
                let mut damaged = body.clone();
                let place = damaged.0.len() / 2;
                damaged.0[place] ^= 1;
                for body in [body.clone(), damaged] {
                    let text = ServerMessage::Signal { topic, from, body }.encode();
                    world.inject(*socket, Direction::ToClient, text, Duration::ZERO);
                }
            }
        }
        world.run_for(S(2));
    }
    hosts.pop();
    assert!(world.server_runs(server));
    assert_eq!(connections(&world), before, "a replay made a connection");
    assert!(settled(&world, &hosts, &room), "{}", picture(&world, &hosts, &room));
    for one in &hosts {
        for other in hosts.iter().filter(|other| *other != one) {
            assert_eq!(world.open_connections(*one, *other), 1);
        }
    }
}

/// The sockets of these hosts, and the sessions the server knows.
fn tell_all(world: &mut Sim, server: ServerId, hosts: &[HostId], message: &ServerMessage) {
    for host in hosts {
        if let Some(socket) = world.socket(*host, server) {
            world.inject(socket, Direction::ToClient, message.encode(), Duration::ZERO);
        }
    }
}

#[test]
fn ad6_forged_departures_and_arrivals_touch_no_link() {
    let (mut world, server, hosts, room) = room(3, Conditions::GOOD, &["a", "b", "c"]);
    let liar = Liar::watch(&mut world);
    // They sign in anew, under the liar's eyes.
    for host in &hosts {
        world.cut_socket(*host, server, false);
    }
    world.run_for(S(20));
    let topic = world.with(hosts[0], |node, _| {
        let status = node.room(&room).unwrap();
        assert_eq!(status.links, 2);
        status
    });
    assert!(topic.is_some());
    let before = connections(&world);
    let sessions = liar.borrow().sessions.clone();
    let ticket = ticket(&mut world, hosts[0], &room).unwrap();
    let topic = ticket.secret.topic();
    for round in 0u32..2000 {
        for (_, session) in &sessions {
            tell_all(&mut world, server, &hosts, &ServerMessage::Left { topic, session: *session });
        }
        let mut forged = [7; 32];
        forged[..4].copy_from_slice(&round.to_be_bytes());
        let (session, announcement) = (SessionId::from_bytes(forged), Bytes(vec![1; 72]));
        tell_all(&mut world, server, &hosts, &ServerMessage::Arrived { topic, session, announcement });
        world.run_for(Duration::from_millis(20));
    }
    assert_eq!(connections(&world), before, "a lie made a connection");
    assert!(all_linked(&world, &hosts, &room), "a lie ended a link");
}

/// While every body is damaged nobody gets in and no link is lost; afterwards all goes on.
#[test]
fn ad6_a_server_that_changes_every_body_keeps_newcomers_out_and_nothing_else() {
    let (mut world, _, mut hosts, room) = room(4, Conditions::GOOD, &["a", "b"]);
    let lying = Rc::new(RefCell::new(true));
    let lies = Rc::clone(&lying);
    world.set_between(move |passing: &Passing<'_>| -> Vec<Verdict> {
        let mut verdict = passing.unchanged();
        if *lies.borrow()
            && let Ok(ClientMessage::Signal { topic, to, mut body }) = ClientMessage::decode(passing.text)
        {
            let place = (passing.at.subsec_micros() as usize) % body.0.len();
            body.0[place] ^= 0x40;
            verdict.text = ClientMessage::Signal { topic, to, body }.encode();
        }
        vec![verdict]
    });
    let newcomer = world.add_host("c");
    let ticket = ticket(&mut world, hosts[1], &room).unwrap();
    world.join(newcomer, &ticket, S(120)).unwrap().unwrap();
    world.run_for(S(30));
    assert!(!is_ready(&world, newcomer, &room));
    assert_eq!(world.connections_made(newcomer), 0);
    assert!(all_linked(&world, &hosts, &room));
    *lying.borrow_mut() = false;
    assert!(world.run_until(S(60), |w| is_ready(w, newcomer, &room)));
    hosts.push(newcomer);
    assert!(world.run_until(S(60), |w| settled(w, &hosts, &room)));
}
