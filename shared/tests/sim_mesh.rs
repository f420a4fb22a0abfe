//! The mesh: links that come and go, with the server and without it.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod sim;

use std::collections::BTreeSet;

use sim::{S, all_linked, is_ready, picture, room, same_state, settled, text, ticket};
use symbolon_core::ByteVec;
use symbolon_core::frames::ChainId;
use symbolon_core::id::{RecordId, SessionId};
use symbolon_core::mesh::{Item, Knowledge, Message, Relay};
use symbolon_core::node::Event;
use symbolon_core::sim::{Conditions, Crash, Passing, Verdict};

/// How many connections were made, for counting attempts.
fn made(world: &sim::Sim) -> u64 {
    world.hosts().map(|host| world.connections_made(host)).sum()
}

#[test]
fn me1_sixteen_members_are_linked_each_with_all() {
    let names: Vec<String> = (0..16).map(|n| format!("m{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut world, _, hosts, room) = room(1, Conditions::GOOD, &names);
    for host in &hosts {
        world.edit(*host, &room, |doc| doc.insert(500, "ab")).unwrap();
    }
    assert!(world.run_until(S(5), |w| settled(w, &hosts, &room)), "{}", picture(&world, &hosts, &room));
    assert_eq!(text(&world, hosts[3], &room).len(), 32);
    // Ten minutes of nothing: no link is lost, none is made.
    let before = made(&world);
    world.run_for(S(600));
    assert!(all_linked(&world, &hosts, &room));
    assert_eq!(made(&world), before);
}

#[test]
fn me2_without_a_server_a_lost_link_is_signalled_through_a_neighbour() {
    for seed in 0..10 {
        for silent in [false, true] {
            let (mut world, server, hosts, room) = room(seed, Conditions::GOOD, &["a", "b", "c", "d"]);
            world.kill_server(server, silent);
            world.run_for(S(1));
            assert!(world.cut_link(hosts[1], hosts[2], silent) > 0);
            world.edit(hosts[1], &room, |doc| doc.insert(0, "still here")).unwrap();
            // A silent break is noticed after 25 s without a word.
            let within = if silent { S(50) } else { S(15) };
            let ok = world.run_until(within, |w| {
                settled(w, &hosts, &room) && w.open_connections(hosts[1], hosts[2]) == 1
            });
            assert!(ok, "seed {seed} silent {silent}\n{}", picture(&world, &hosts, &room));
            assert_eq!(text(&world, hosts[3], &room), "still here");
        }
    }
}

#[test]
fn me2_without_a_server_a_member_with_a_new_address_loses_only_what_it_must() {
    let (mut world, server, hosts, room) = room(3, Conditions::GOOD, &["a", "b", "c"]);
    world.kill_server(server, false);
    world.change_network(hosts[2]);
    world.edit(hosts[0], &room, |doc| doc.insert(0, "x")).unwrap();
    world.run_for(S(30));
    world.start_server(server);
    assert!(world.run_until(S(130), |w| settled(w, &hosts, &room)), "{}", picture(&world, &hosts, &room));
}

#[test]
fn me3_links_come_back_after_each_fault_without_help_and_without_duplicates() {
    for seed in 0..10 {
        let (mut world, server, hosts, room) = room(seed, Conditions::GOOD, &["a", "b", "c"]);
        for fault in 0..6 {
            let before = made(&world);
            match fault {
                0 => drop(world.cut_link(hosts[0], hosts[1], false)),
                1 => world.sleep(hosts[1], S(300)),
                2 => world.change_network(hosts[2]),
                3 => {
                    world.kill_server(server, false);
                    world.run_for(S(20));
                    world.start_server(server);
                }
                4 => world.part(&BTreeSet::from([hosts[0]])),
                _ => world.crash(hosts[2], Crash::Now),
            }
            world.run_for(S(310));
            if fault == 4 {
                world.rejoin(&BTreeSet::from([hosts[0]]));
            }
            world.boot(hosts[2]);
            assert!(
                world.run_until(S(100), |w| all_linked(w, &hosts, &room)),
                "seed {seed} fault {fault}\n{}",
                picture(&world, &hosts, &room)
            );
            world.run_for(S(30));
            for (n, one) in hosts.iter().enumerate() {
                for other in &hosts[n + 1..] {
                    assert_eq!(world.open_connections(*one, *other), 1, "seed {seed} fault {fault}");
                    assert_eq!(world.open_connections(*other, *one), 1, "seed {seed} fault {fault}");
                }
            }
            // Two ends for each attempt: 5 minutes of trying hold few, since the delays grow.
            let attempts = made(&world) - before;
            assert!(attempts <= 120, "seed {seed} fault {fault}: {attempts} connections");
        }
    }
}

#[test]
fn me4_both_call_at_once_one_link_remains() {
    for seed in 0..20 {
        let (mut world, _, hosts, room) = room(seed, Conditions::GOOD, &["a", "b"]);
        // An offer takes longer than the larger one's patience, so both have one under way.
        world.set_between(|passing: &Passing<'_>| -> Vec<Verdict> {
            let signal = passing.text.contains("\"signal\"");
            vec![Verdict { after: if signal { S(2) } else { S(0) }, ..passing.unchanged() }]
        });
        let before = made(&world);
        assert!(world.cut_link(hosts[0], hosts[1], false) > 0);
        assert!(
            world.run_until(S(40), |w| settled(w, &hosts, &room)),
            "seed {seed}\n{}",
            picture(&world, &hosts, &room)
        );
        world.run_for(S(60));
        assert!(settled(&world, &hosts, &room));
        assert_eq!(world.open_connections(hosts[0], hosts[1]), 1);
        assert_eq!(world.open_connections(hosts[1], hosts[0]), 1);
        let attempts = made(&world) - before;
        assert!((3..=8).contains(&attempts), "seed {seed}: {attempts} connections; 2 would be no glare");
    }
}

#[test]
fn ad4_a_newcomer_gets_in_while_the_inviter_is_away() {
    for seed in 0..20 {
        let (mut world, _, hosts, room) = room(seed, Conditions::BAD, &["a", "b", "c"]);
        let ticket = ticket(&mut world, hosts[2], &room).unwrap();
        assert!(world.run_until(S(60), |w| same_state(w, &hosts, &room)));
        world.crash(hosts[2], Crash::Now);
        let newcomer = world.add_host("d");
        world.join(newcomer, &ticket, S(60)).unwrap().unwrap();
        assert!(world.run_until(S(60), |w| is_ready(w, newcomer, &room)), "seed {seed}");
        let now = [hosts[0], hosts[1], newcomer];
        assert!(world.run_until(S(60), |w| settled(w, &now, &room)), "seed {seed}");
        world.boot(hosts[2]);
        let all = [hosts[0], hosts[1], hosts[2], newcomer];
        assert!(
            world.run_until(S(120), |w| settled(w, &all, &room)),
            "seed {seed}\n{}",
            picture(&world, &all, &room)
        );
    }
}

#[test]
fn st8_edits_made_offline_merge_and_only_what_is_missing_is_sent() {
    let (mut world, _, hosts, room) = room(6, Conditions::GOOD, &["a", "b", "c"]);
    for _ in 0..20 {
        world.edit(hosts[0], &room, |doc| doc.insert(1000, &"history ".repeat(2000))).unwrap();
    }
    assert!(world.run_until(S(60), |w| settled(w, &hosts, &room)));
    world.part(&BTreeSet::from([hosts[2]]));
    world.run_for(S(60));
    for n in 0..20 {
        world.edit(hosts[2], &room, |doc| doc.insert(0, &format!("offline {n} "))).unwrap();
        world.edit(hosts[0], &room, |doc| doc.insert(1000, &format!("online {n} "))).unwrap();
        world.edit(hosts[1], &room, |doc| doc.delete(500, 3)).unwrap();
    }
    assert!(world.run_until(S(20), |w| same_state(w, &hosts[..2], &room)));
    let before: u64 = hosts.iter().map(|host| world.bytes_sent(*host)).sum();
    world.rejoin(&BTreeSet::from([hosts[2]]));
    assert!(world.run_until(S(130), |w| settled(w, &hosts, &room)), "{}", picture(&world, &hosts, &room));
    let bytes = hosts.iter().map(|host| world.bytes_sent(*host)).sum::<u64>() - before;
    assert!(bytes < 80_000, "{bytes} bytes for 60 changes, beside 320,000 of history");
    let text = text(&world, hosts[1], &room);
    for n in 0..20 {
        assert!(text.contains(&format!("offline {n} ")) && text.contains(&format!("online {n} ")));
    }
}

/// More changes at once than a neighbour names, while the one who has them is lost.
#[test]
fn me11_what_was_not_named_comes_with_the_next_exchange_of_frontiers() {
    let (mut world, _, hosts, room) = room(9, Conditions::GOOD, &["a", "b", "c"]);
    world.set_conditions(Conditions { silent: 1000, ..Conditions::GOOD });
    assert!(world.cut_link(hosts[0], hosts[2], true) > 0);
    for _ in 0..1500 {
        world.edit(hosts[0], &room, |doc| doc.insert(1000, "x")).unwrap();
    }
    world.run_for(S(1));
    world.crash(hosts[0], Crash::Now);
    assert_eq!(text(&world, hosts[1], &room).len(), 1500);
    let rest = [hosts[1], hosts[2]];
    let same = world.run_until(S(100), |w| same_state(w, &rest, &room));
    assert!(same, "{} of 1500", text(&world, hosts[2], &room).len());
}

/// Bytes that are no message, and messages that are no truth, from a member that breaks the rules.
#[test]
fn st9_a_member_that_says_anything_harms_only_itself() {
    let (mut world, _, hosts, room) = room(10, Conditions::GOOD, &["a", "b", "c"]);
    world.edit(hosts[0], &room, |doc| doc.insert(0, "before")).unwrap();
    world.run_for(S(5));
    let id = |n: u8| RecordId::from_bytes([n; 32]);
    let chain = ChainId { author: sim::device(&world, hosts[1]), incarnation: 7 };
    let lies = Knowledge { heads: (0..200).map(id).collect(), chains: vec![(chain, u32::MAX)] };
    let ids: Vec<ByteVec> = (0..200).map(|n| vec![n; 32].into()).collect();
    let relay = Relay {
        from: sim::device(&world, hosts[1]),
        from_session: SessionId::from_bytes([1; 32]),
        to: sim::device(&world, hosts[0]),
        to_session: SessionId::from_bytes([2; 32]),
        body: vec![2; 100].into(),
    };
    let messages = [
        Message::Know(lies.clone()),
        Message::Pull(lies),
        Message::Batch { items: Vec::new(), more: true },
        Message::Have(ids.clone()),
        Message::Graft(ids),
        Message::Prune,
        Message::Relay(relay),
        Message::Push(vec![Item::Record(vec![1, 2, 3].into())]),
        Message::Push(vec![Item::Frame(vec![1, 2, 3].into())]),
        Message::Push(vec![Item::Links(vec![1, 2, 3].into())]),
    ];
    for message in messages {
        for damage in 0..6usize {
            let mut part = [&[2][..], &message.encode()].concat();
            let place = damage * 7919 % part.len();
            if damage > 0 {
                part[place] ^= 1 << damage;
            }
            for _ in 0..20 {
                world.inject_part(hosts[0], hosts[1], part.clone());
            }
            world.edit(hosts[2], &room, |doc| doc.insert(1000, ".")).unwrap();
            world.run_for(S(1));
            assert!(
                world.run_until(S(2), |w| text(w, hosts[0], &room) == text(w, hosts[2], &room)),
                "{message:?}"
            );
        }
        assert!(world.run_until(S(120), |w| settled(w, &hosts, &room)), "{}", picture(&world, &hosts, &room));
    }
}

/// Asking twice is one joining; the second question is answered when the state is here.
#[test]
fn ad1_a_join_that_is_under_way_is_not_ready_before_it_is() {
    let (mut world, _, hosts) = sim::world(11, Conditions::GOOD, &["a", "b"]);
    let room = world.create_room(hosts[0], &[sim::origin()]).unwrap();
    for _ in 0..30 {
        world.edit(hosts[0], &room, |doc| doc.insert(1000, &"much ".repeat(5000))).unwrap();
    }
    let ticket = ticket(&mut world, hosts[0], &room).unwrap();
    world.join(hosts[1], &ticket, S(30)).unwrap().unwrap();
    while !is_ready(&world, hosts[1], &room) {
        world.run_for(std::time::Duration::from_millis(10));
        world.take_events(hosts[1]);
        let again = world.join(hosts[1], &ticket, S(30)).unwrap();
        let told = world.take_events(hosts[1]).contains(&Event::Ready { room });
        assert!(
            !told || same_state(&world, &hosts, &room),
            "told to be ready before the state was here: {again:?}"
        );
    }
}
