//! Who is here and what they show, and who is linked with whom as everybody sees it.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod sim;

use std::time::Duration;

use sim::{S, Sim, picture, room};
use symbolon_core::id::RoomId;
use symbolon_core::node::Reach;
use symbolon_core::sim::{Conditions, Crash, HostId};
use symbolon_core::topology::EdgeState;

/// What a host sees another show.
fn shown(world: &Sim, host: HostId, room: &RoomId, of: HostId) -> Option<String> {
    let device = world.node(of).map(|node| node.device());
    let presence = world.node(host)?.presence(room);
    presence.into_iter().find(|p| Some(p.chain.author) == device).and_then(|p| p.state)
}

fn show(world: &mut Sim, host: HostId, room: &RoomId, state: Option<&str>) {
    let state = state.map(str::to_owned);
    world
        .with(host, |node, now| {
            let writer = node.writer(room).unwrap();
            node.set_presence(room, writer.incarnation, state, now).unwrap();
        })
        .unwrap();
}

#[test]
fn st5_what_a_member_shows_is_seen_by_all_at_once_and_by_those_who_come_later() {
    for seed in 0..10 {
        let (mut world, _, hosts, room) = room(seed, Conditions::GOOD, &["a", "b", "c"]);
        show(&mut world, hosts[0], &room, Some("{\"cursor\":1}"));
        let all = |world: &Sim, state: Option<&str>| {
            hosts[1..].iter().all(|host| shown(world, *host, &room, hosts[0]).as_deref() == state)
        };
        assert!(world.run_until(S(1), |w| all(w, Some("{\"cursor\":1}"))));
        // Faster than it is said, and the last word is what all see.
        for n in 2..50 {
            show(&mut world, hosts[0], &room, Some(&format!("{{\"cursor\":{n}}}")));
            world.run_for(Duration::from_millis(3));
        }
        assert!(world.run_until(S(1), |w| all(w, Some("{\"cursor\":49}"))));
        // It is said anew for as long as it is shown.
        world.run_for(S(180));
        assert!(all(&world, Some("{\"cursor\":49}")));

        let late = world.add_host("late");
        let ticket = sim::ticket(&mut world, hosts[1], &room).unwrap();
        world.join(late, &ticket, S(60)).unwrap().unwrap();
        let seen = |w: &Sim| shown(w, late, &room, hosts[0]).as_deref() == Some("{\"cursor\":49}");
        assert!(world.run_until(S(20), seen), "seed {seed}");

        show(&mut world, hosts[0], &room, None);
        assert!(world.run_until(S(1), |w| all(w, None)));
    }
}

#[test]
fn st5_what_a_member_showed_goes_when_it_goes() {
    for seed in 0..10 {
        // With the server a departure shows within seconds; without it, when nobody hears it any more.
        for (server_is_there, within) in [(true, S(10)), (false, S(50))] {
            let (mut world, server, hosts, room) = room(seed, Conditions::GOOD, &["a", "b", "c"]);
            show(&mut world, hosts[0], &room, Some("1"));
            let seen = |w: &Sim, state| hosts[1..].iter().all(|h| shown(w, *h, &room, hosts[0]) == state);
            assert!(world.run_until(S(1), |w| seen(w, Some("1".to_owned()))));
            if !server_is_there {
                world.kill_server(server, false);
                world.run_for(S(1));
            }
            world.crash(hosts[0], Crash::Now);
            let gone = world.run_until(within, |w| {
                hosts[1..].iter().all(|h| w.node(*h).unwrap().presence(&room).is_empty())
            });
            assert!(gone, "seed {seed}, server {server_is_there}\n{}", picture(&world, &hosts, &room));
            // It comes back and shows something else.
            world.boot(hosts[0]);
            show(&mut world, hosts[0], &room, Some("2"));
            if server_is_there {
                assert!(world.run_until(S(90), |w| seen(w, Some("2".to_owned()))), "seed {seed}");
            }
        }
    }
}

#[test]
fn me5_a_lost_link_is_a_claim_and_then_a_gap_for_all_until_it_is_back() {
    for seed in 0..10 {
        let (mut world, _, hosts, room) = room(seed, Conditions::GOOD, &["a", "b", "c", "d"]);
        let states = |w: &Sim, host: HostId| -> Vec<EdgeState> {
            w.node(host).unwrap().topology(&room, w.now_at(host)).edges.iter().map(|e| e.state).collect()
        };
        let whole = |w: &Sim| {
            hosts
                .iter()
                .all(|host| states(w, *host).iter().filter(|s| **s == EdgeState::Confirmed).count() == 6)
        };
        assert!(world.run_until(S(5), whole), "seed {seed}");
        // What each sees of the others.
        let (a, b) = (world.node(hosts[0]).unwrap().device(), world.node(hosts[1]).unwrap().device());
        let (low, high) = (a.min(b), a.max(b));
        let edge = |w: &Sim, host: HostId| {
            let topology = w.node(host).unwrap().topology(&room, w.now_at(host));
            topology.edges.iter().find(|edge| (edge.a, edge.b) == (low, high)).map(|edge| edge.state)
        };
        assert!(world.cut_link(hosts[0], hosts[1], false) > 0);
        let gap = world.run_until(S(3), |w| hosts.iter().all(|host| edge(w, *host) == Some(EdgeState::Gap)));
        let reach = |w: &Sim, of: HostId, to| {
            let members = w.node(of).unwrap().members(&room, w.now_at(of));
            members.into_iter().find(|member| member.device == to).unwrap().reach
        };
        if gap {
            let through = reach(&world, hosts[0], b);
            let Reach::Through(via) = through else { panic!("{through:?}") };
            assert_eq!(via.len(), 2);
        }
        assert!(world.run_until(S(60), whole), "seed {seed}\n{}", picture(&world, &hosts, &room));
        assert_eq!(reach(&world, hosts[0], b), Reach::Direct);
        assert_eq!(reach(&world, hosts[0], a), Reach::Own);

        world.crash(hosts[3], Crash::Now);
        let d = world.node(hosts[3]).is_none();
        assert!(d && world.run_until(S(120), |w| states(w, hosts[0]).len() == 3), "seed {seed}");
        let members = world.node(hosts[0]).unwrap().members(&room, world.now_at(hosts[0]));
        let away: Vec<_> = members.iter().filter(|member| member.reach == Reach::Away).collect();
        assert_eq!(away.len(), 1);
        assert!(away[0].last_seen_ms.is_some_and(|at| at <= world.now().unix_ms));
    }
}
