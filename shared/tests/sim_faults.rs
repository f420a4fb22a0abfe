//! One fault at a time: what each of them must not do.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod sim;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use sim::{
    S, Sim, all_linked, is_ready, join_failure, linked, members, picture, room, same_state, settled, text,
    ticket, world,
};
use symbolon_core::link::{Kind, Signal};
use symbolon_core::node::Event;
use symbolon_core::signal::ClientMessage;
use symbolon_core::sim::{Conditions, Crash, Direction, Passing, Verdict};

/// What kind of signal a client sends with this message, if it does.
fn kind(passing: &Passing<'_>) -> Option<Kind> {
    match ClientMessage::decode(passing.text) {
        Ok(ClientMessage::Signal { body, .. }) if passing.direction == Direction::ToServer => {
            Signal::decode(&body.0).map(|signal| signal.kind)
        }
        _ => None,
    }
}

/// A server that drops the first `count` signals of a kind.
fn drop_first(world: &mut Sim, of: Kind, count: u32) -> Rc<Cell<u32>> {
    let dropped = Rc::new(Cell::new(0));
    let counter = Rc::clone(&dropped);
    world.set_between(move |passing: &Passing<'_>| -> Vec<Verdict> {
        if kind(passing) == Some(of) && counter.get() < count {
            counter.set(counter.get() + 1);
            return Vec::new();
        }
        vec![passing.unchanged()]
    });
    dropped
}

/// The link comes up before the records that make the newcomer a member are here. A list of links was due then, which
/// only members sign, and the timer for it fired for ever.
#[test]
fn me3_a_newcomer_that_is_linked_and_not_yet_in_does_not_spin() {
    let slow = Conditions { delay_ms: (100, 100), ..Conditions::GOOD };
    let (mut world, _, hosts) = world(1, slow, &["a", "b"]);
    let room = world.create_room(hosts[0], &[sim::origin()]).unwrap();
    let ticket = ticket(&mut world, hosts[0], &room).unwrap();
    world.join(hosts[1], &ticket, S(30)).unwrap().unwrap();
    assert!(world.run_until(S(30), |w| is_ready(w, hosts[1], &room)));
}

/// A proof went to each session once, so an attempt that failed was the last one.
#[test]
fn ad1_a_newcomer_whose_first_attempts_fail_gets_in_before_its_deadline() {
    for (of, count) in [(Kind::Proof, 2), (Kind::FirstIk, 2), (Kind::Second, 1)] {
        let (mut world, _, hosts) = world(2, Conditions::GOOD, &["a", "b"]);
        let dropped = drop_first(&mut world, of, count);
        let room = world.create_room(hosts[0], &[sim::origin()]).unwrap();
        let ticket = ticket(&mut world, hosts[0], &room).unwrap();
        world.join(hosts[1], &ticket, S(60)).unwrap().unwrap();
        assert!(world.run_until(S(60), |w| is_ready(w, hosts[1], &room)), "{of:?} was lost at first");
        assert_eq!(dropped.get(), count);
    }
}

/// The newcomer is faster than the record of its invite.
#[test]
fn ad4_a_member_that_hears_of_the_invite_late_lets_the_newcomer_in() {
    let (mut world, server, hosts, room) = room(3, Conditions::GOOD, &["a", "b", "c"]);
    world.part(&BTreeSet::from([hosts[1]]));
    let ticket = ticket(&mut world, hosts[1], &room).unwrap();
    let newcomer = world.add_host("d");
    world.join(newcomer, &ticket, S(90)).unwrap().unwrap();
    world.run_for(S(8));
    assert!(!is_ready(&world, newcomer, &room));
    assert!(world.server_runs(server));
    // The inviter comes back for the others, and not for the newcomer.
    world.rejoin(&BTreeSet::from([hosts[1]]));
    world.part(&BTreeSet::from([newcomer]));
    assert!(world.run_until(S(40), |w| same_state(w, &hosts, &room)));
    world.crash(hosts[1], Crash::Now);
    world.rejoin(&BTreeSet::from([newcomer]));
    assert!(world.run_until(S(70), |w| is_ready(w, newcomer, &room)), "{:?}", join_failure(&world, newcomer));
}

/// After a restart the device record, and with it the acceptance, is another one; the place is the same.
#[test]
fn ad2_a_device_that_lost_its_disk_is_let_in_again_by_its_used_ticket() {
    let (mut world, _, hosts) = world(4, Conditions::GOOD, &["a", "b", "c"]);
    let room = world.create_room(hosts[0], &[sim::origin()]).unwrap();
    let ticket = ticket(&mut world, hosts[0], &room).unwrap();
    for who in [hosts[1], hosts[1], hosts[1]] {
        world.join(who, &ticket, S(30)).unwrap().unwrap();
        assert!(world.run_until(S(30), |w| is_ready(w, who, &room)), "{:?}", join_failure(&world, who));
        world.edit(who, &room, |doc| doc.insert(1000, "x")).unwrap();
        assert!(world.run_until(S(30), |w| settled(w, &hosts[..2], &room)));
        world.crash(who, Crash::Now);
        world.wipe(who);
        world.run_for(S(40));
        world.boot(who);
    }
    assert_eq!(text(&world, hosts[0], &room), "xxx");
    world.join(hosts[2], &ticket, S(20)).unwrap().unwrap();
    world.run_for(S(25));
    assert!(!is_ready(&world, hosts[2], &room), "the place is taken");
    // Who comes next must be able to follow the chain through the one that came back.
    world.join(hosts[1], &ticket, S(30)).unwrap().unwrap();
    assert!(world.run_until(S(30), |w| is_ready(w, hosts[1], &room)));
    let next = sim::ticket(&mut world, hosts[1], &room).unwrap();
    world.join(hosts[2], &next, S(30)).unwrap().unwrap();
    assert!(world.run_until(S(30), |w| is_ready(w, hosts[2], &room)), "{:?}", join_failure(&world, hosts[2]));
}

/// Two members let in two newcomers with a ticket for one, each without knowing of the other.
#[test]
fn ad2_two_newcomers_that_race_for_one_place_leave_one_member_everywhere() {
    for seed in 0..10 {
        let (mut world, _, hosts, room) = room(seed, Conditions::GOOD, &["a", "b"]);
        let (c, d) = (world.add_host("c"), world.add_host("d"));
        let ticket = ticket(&mut world, hosts[0], &room).unwrap();
        assert!(world.run_until(S(20), |w| same_state(w, &hosts, &room)));
        // A sees only C, B only D.
        world.part(&BTreeSet::from([hosts[0], c]));
        world.join(d, &ticket, S(60)).unwrap().unwrap();
        assert!(world.run_until(S(60), |w| is_ready(w, d, &room)));
        // Until nothing that was under way can arrive any more.
        world.run_for(S(60));
        world.crash(d, Crash::Now);
        world.crash(hosts[1], Crash::Now);
        world.rejoin(&BTreeSet::from([hosts[0], c]));
        world.join(c, &ticket, S(90)).unwrap().unwrap();
        assert!(world.run_until(S(90), |w| is_ready(w, c, &room)), "{:?}", join_failure(&world, c));
        world.boot(hosts[1]);
        world.boot(d);
        world.run_for(S(60));
        let counted = members(&world, hosts[0], &room);
        assert_eq!(counted.len(), 3, "{}", picture(&world, &[hosts[0], hosts[1], c, d], &room));
        assert_eq!(counted, members(&world, hosts[1], &room));
        let (winner, loser) = if linked(&world, hosts[0], c, &room) { (c, d) } else { (d, c) };
        assert!(all_linked(&world, &[hosts[0], hosts[1], winner], &room));
        assert_eq!(counted, members(&world, winner, &room));
        for member in [hosts[0], hosts[1], winner] {
            assert_eq!(world.open_connections(member, loser), 0, "a link to one who has no place");
        }
        if is_ready(&world, loser, &room) {
            // The members knew before they met it again, and have nothing to say to it: it is alone until it leaves.
            assert!([hosts[0], hosts[1], winner].iter().all(|member| !linked(&world, loser, *member, &room)));
            world.with(loser, |node, now| node.leave(&room, now)).unwrap().unwrap();
        }
        let next = sim::ticket(&mut world, hosts[0], &room).unwrap();
        world.join(loser, &next, S(60)).unwrap().unwrap();
        assert!(world.run_until(S(60), |w| is_ready(w, loser, &room)), "{:?}", join_failure(&world, loser));
    }
}

/// The word of a new member came after the sight of it, and nobody called until something else happened.
#[test]
fn me1_a_new_member_is_linked_with_all_at_once() {
    for seed in 0..20 {
        let (mut world, _, mut hosts, room) = room(seed, Conditions::GOOD, &["a", "b", "c", "d"]);
        let newcomer = world.add_host("e");
        let ticket = ticket(&mut world, hosts[0], &room).unwrap();
        world.join(newcomer, &ticket, S(30)).unwrap().unwrap();
        assert!(world.run_until(S(10), |w| is_ready(w, newcomer, &room)));
        hosts.push(newcomer);
        assert!(
            world.run_until(S(5), |w| all_linked(w, &hosts, &room)),
            "{}",
            picture(&world, &hosts, &room)
        );
    }
}

/// A link was replaced while a pull was under way on it: the answer never came, and the neighbour was taken for
/// exhausted.
#[test]
fn st8_a_pull_whose_link_is_replaced_is_made_again() {
    for cut_after in [1, 2, 3, 4, 5, 6, 8, 10] {
        let (mut world, _, hosts, room) = room(5, Conditions::GOOD, &["a", "b"]);
        world.crash(hosts[1], Crash::Now);
        for _ in 0..40 {
            world.edit(hosts[0], &room, |doc| doc.insert(1000, &"much ".repeat(5000))).unwrap();
        }
        world.set_conditions(Conditions { delay_ms: (100, 100), silent: 1000, ..Conditions::GOOD });
        world.boot(hosts[1]);
        assert!(world.run_until(S(60), |w| linked(w, hosts[1], hosts[0], &room)));
        world.run_for(std::time::Duration::from_millis(50 * cut_after));
        world.change_network(hosts[0]);
        world.run_until(S(60), |w| settled(w, &hosts, &room));
        assert!(settled(&world, &hosts, &room), "cut after {cut_after}: {}", picture(&world, &hosts, &room));
    }
}

/// An answer that takes its time is still an answer.
#[test]
fn st8_a_slow_link_brings_everything_and_nobody_is_ready_before() {
    let (mut world, _, hosts) = world(6, Conditions::GOOD, &["a", "b"]);
    let room = world.create_room(hosts[0], &[sim::origin()]).unwrap();
    for _ in 0..40 {
        world.edit(hosts[0], &room, |doc| doc.insert(1000, &"much ".repeat(5000))).unwrap();
    }
    let ticket = ticket(&mut world, hosts[0], &room).unwrap();
    world.join(hosts[1], &ticket, S(200)).unwrap().unwrap();
    let is_up = |event: &Event| matches!(event, Event::LinkUp { .. });
    let up = |w: &Sim| hosts.iter().all(|host| w.events(*host).iter().any(is_up));
    assert!(world.run_until(S(30), up));
    world.set_conditions(Conditions { delay_ms: (7000, 7000), ..Conditions::GOOD });
    assert!(
        world.run_until(S(200), |w| is_ready(w, hosts[1], &room)),
        "{:?}",
        join_failure(&world, hosts[1])
    );
    assert!(same_state(&world, &hosts, &room), "ready before the state was here");
}

/// The old connection to the server is dead and does not say so.
#[test]
fn me3_a_new_address_is_at_the_server_again_within_seconds() {
    let (mut world, server, hosts, room) = room(8, Conditions::GOOD, &["a", "b"]);
    let old = world.socket(hosts[0], server).unwrap();
    world.change_network(hosts[0]);
    assert!(world.run_until(S(20), |w| w.socket(hosts[0], server).is_some_and(|socket| socket != old)));
    assert!(world.run_until(S(20), |w| all_linked(w, &hosts, &room)), "{}", picture(&world, &hosts, &room));
}

/// A crashed machine's old session stays at the server for a minute; calls must go to the new one.
#[test]
fn me3_a_machine_that_starts_anew_is_called_at_its_new_session() {
    for seed in 0..10 {
        let (mut world, _, hosts, room) = room(seed, Conditions::GOOD, &["a", "b", "c"]);
        world.set_conditions(Conditions { silent: 1000, ..Conditions::GOOD });
        for _ in 0..3 {
            world.crash(hosts[1], Crash::Now);
            world.run_for(S(1));
            world.boot(hosts[1]);
            world.run_for(S(1));
        }
        assert!(
            world.run_until(S(10), |w| settled(w, &hosts, &room)),
            "{seed} {}",
            picture(&world, &hosts, &room)
        );
    }
}

/// Whoever shows servers to people asks again only when it is told to.
#[test]
fn me3_why_a_server_cannot_be_reached_is_told_when_it_changes_and_only_then() {
    let (mut world, server, hosts) = world(9, Conditions::GOOD, &["a"]);
    world.kill_server(server, false);
    world.create_room(hosts[0], &[sim::origin()]).unwrap();
    world.run_for(S(300));
    let told = |world: &Sim| {
        let of_servers = |event: &&Event| matches!(event, Event::Server { .. });
        world.events(hosts[0]).iter().filter(of_servers).cloned().collect::<Vec<_>>()
    };
    let server_is = |connected| Event::Server { origin: sim::origin(), connected };
    let trouble = world.node(hosts[0]).unwrap().servers()[0].trouble.clone();
    assert!(trouble.is_some_and(|trouble| trouble.contains("rendezvous.test")));
    assert_eq!(told(&world), [server_is(false)], "many attempts, one reason");
    world.start_server(server);
    assert!(world.run_until(S(120), |w| told(w).len() > 1));
    assert_eq!(told(&world), [server_is(false), server_is(true)]);
}
