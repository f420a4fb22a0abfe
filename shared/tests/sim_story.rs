//! The story of DESIGN §1 under random faults, many times over; every seed is another run.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

mod sim;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sim::{S, Sim, Wire, all_linked, is_ready, join_failure, members, picture, settled, text, ticket, world};
use symbolon_core::id::RoomId;
use symbolon_core::sim::{Conditions, Crash, HostId};

/// How many runs the test makes. `SIM_SEEDS=from..to` chooses others.
const SEEDS: std::ops::Range<u64> = 0..200;

/// How long a room may take to come together once everything works again: the longest back-off, an attempt that it
/// let time out, and the next one.
const PEACE: Duration = Duration::from_secs(100);

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("SIM_SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

/// A story under way.
struct Story {
    world: Sim,
    hosts: Vec<HostId>,
    room: RoomId,
    /// What somebody typed and was told is kept, each piece unlike any other.
    typed: Vec<String>,
    pieces: u32,
}

impl Story {
    /// Somebody types.
    fn type_something(&mut self, host: HostId) {
        self.pieces += 1;
        let piece = format!("<{}é{}>", host.0, self.pieces);
        let place = self.world.rng().below(1001);
        // A piece that another cuts in two is found again only by its parts, so the place is an end or a seam.
        let room = self.room;
        let whole = piece.clone();
        let kept = self.world.edit(host, &room, |doc| {
            let text = doc.text();
            let seams: Vec<usize> = std::iter::once(0)
                .chain(text.char_indices().filter(|(_, c)| *c == '>').map(|(i, _)| i + 1))
                .collect();
            let seam = seams[place as usize * (seams.len() - 1) / 1000];
            let units = text[..seam].encode_utf16().count();
            doc.insert_at(units as u32, &whole);
        });
        if kept.is_some() {
            self.typed.push(piece);
        }
    }

    /// Faults and typing for so long.
    fn trouble(&mut self, time: Duration, among: &[HostId]) {
        let until = self.world.now().monotonic + time;
        while self.world.now().monotonic < until {
            let step = Duration::from_millis(100 + self.world.rng().below(4000));
            self.world.run_for(step);
            if self.world.rng().below(3) == 0 {
                self.world.stir();
            }
            let who = among[self.world.rng().below(among.len() as u64) as usize];
            if is_ready(&self.world, who, &self.room) {
                self.type_something(who);
            }
        }
    }

    /// A ticket by a host that may crash over it.
    fn let_in(&mut self, by: HostId, newcomer: HostId) {
        for _ in 0..20 {
            let Some(ticket) = ticket(&mut self.world, by, &self.room) else {
                self.world.run_for(S(5));
                continue;
            };
            for _ in 0..6 {
                if is_ready(&self.world, newcomer, &self.room) {
                    return;
                }
                self.world.take_events(newcomer);
                let asked = self.world.join(newcomer, &ticket, S(60));
                if !matches!(asked, Some(Ok(()))) {
                    self.world.run_for(S(5));
                    continue;
                }
                let room = self.room;
                let over = |w: &Sim| {
                    is_ready(w, newcomer, &room)
                        || join_failure(w, newcomer).is_some()
                        || !w.is_running(newcomer)
                };
                for _ in 0..14 {
                    if self.world.rng().below(4) == 0 {
                        self.world.stir();
                    }
                    self.world.run_until(S(5), over);
                }
            }
            // The ticket may have died with the disk of who made it before anyone else knew it.
            self.world.calm();
        }
        panic!("{newcomer:?} never got in\n{}", picture(&self.world, &self.hosts, &self.room));
    }
}

/// One run; gives the hash of all that happened.
fn run(seed: u64) -> [u8; 32] {
    let conditions = if seed.is_multiple_of(4) { Conditions::GOOD } else { Conditions::BAD };
    let (world, server, hosts) = world(seed, conditions, &["a", "b", "c", "d"]);
    let [a, b, c, d] = hosts[..] else { unreachable!() };
    let mut story = Story {
        world,
        hosts: vec![a, b, c],
        room: RoomId::from_bytes([0; 32]),
        typed: Vec::new(),
        pieces: 0,
    };
    if std::env::var("SIM_LOG").is_ok() {
        story.world.keep_log();
    }
    let wire = Wire::watch(&mut story.world);
    // 1, 2: A founds a room and gives B a ticket; B arrives with it.
    story.room = story.world.create_room(a, &[sim::origin()]).unwrap();
    let room = story.room;
    story.type_something(a);
    story.let_in(a, b);
    story.trouble(S(20), &[a, b]);
    // 3: B gives C a ticket. It may be away by the time C comes, if A heard of it.
    let away = seed.is_multiple_of(3);
    if away {
        story.world.calm();
        assert!(
            story.world.run_until(PEACE, |w| settled(w, &[a, b], &room)),
            "{}",
            picture(&story.world, &[a, b], &room)
        );
        let ticket = ticket(&mut story.world, b, &room).unwrap();
        assert!(story.world.run_until(PEACE, |w| settled(w, &[a, b], &room)));
        story.world.crash(b, Crash::Now);
        story.world.join(c, &ticket, S(120)).unwrap().unwrap();
        assert!(
            story.world.run_until(S(120), |w| is_ready(w, c, &room)),
            "the inviter is away: {:?}\n{}",
            join_failure(&story.world, c),
            picture(&story.world, &[a, b, c], &room)
        );
    } else {
        story.let_in(b, c);
    }
    // 4: D has no ticket, or one that is not good.
    let spent = ticket_of_another_room(&mut story.world, a, &room);
    let _ = story.world.join(d, &spent, S(30));
    story.trouble(S(150), &[a, b, c]);
    // 5: the server dies, and comes back.
    story.world.kill_server(server, seed.is_multiple_of(2));
    story.trouble(S(20), &[a, b, c]);
    story.world.calm();
    story.world.set_conditions(Conditions { lost: 0, silent: 0, ..conditions });
    for host in [a, b, c] {
        story.type_something(host);
    }
    let hosts = [a, b, c];
    let peace = story.world.run_until(PEACE, |w| settled(w, &hosts, &room));
    assert!(peace, "no peace\n{}", picture(&story.world, &hosts, &room));
    let text = text(&story.world, a, &room);
    for piece in &story.typed {
        assert_eq!(text.matches(piece.as_str()).count(), 1, "{piece} was kept, and is not here once: {text}");
    }
    assert!(all_linked(&story.world, &hosts, &room));
    assert_eq!(members(&story.world, a, &room).len(), 3);
    // Nobody ever signalled to D, and D never made a connection.
    assert_eq!(wire.borrow().signals_to(d), 0, "somebody answered D");
    assert_eq!(story.world.connections_made(d), 0);
    if let Ok(path) = std::env::var("SIM_LOG") {
        std::fs::write(path, story.world.trace().log().join("\n")).unwrap();
    }
    story.world.trace().hash()
}

/// A ticket with a seed of its own: for this room, and not made by anybody.
fn ticket_of_another_room(world: &mut Sim, by: HostId, room: &RoomId) -> symbolon_core::ticket::Ticket {
    loop {
        if let Some(mut ticket) = ticket(world, by, room) {
            ticket.seed = [9; 32];
            return ticket;
        }
        world.run_for(S(5));
    }
}

#[test]
fn the_story_holds_under_random_faults() {
    let mut failed = Vec::new();
    for seed in seeds() {
        if std::env::var("SIM_SEEDS").is_ok() {
            eprintln!("seed {seed}");
        }
        if catch_unwind(AssertUnwindSafe(|| run(seed))).is_err() {
            eprintln!("seed {seed} failed; SIM_SEEDS={seed}..{} runs it alone", seed + 1);
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
}

#[test]
fn as1_a_seed_replays_a_run_to_the_byte() {
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

/// Seven at once, with nobody coming or going: more ways to lose each other than three have.
#[test]
fn me3_a_crowd_finds_itself_again_after_random_faults() {
    let seeds = if std::env::var("SIM_SEEDS").is_ok() { seeds() } else { 0..20 };
    for seed in seeds {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let (mut world, _, hosts, room) = sim::room(seed, Conditions::GOOD, &names);
        world.set_conditions(Conditions::BAD);
        let mut story = Story { world, hosts: hosts.clone(), room, typed: Vec::new(), pieces: 0 };
        story.trouble(S(200), &hosts);
        story.world.calm();
        story.world.set_conditions(Conditions { lost: 0, silent: 0, ..Conditions::BAD });
        let peace = story.world.run_until(PEACE, |w| settled(w, &hosts, &room));
        assert!(peace, "seed {seed}: no peace\n{}", picture(&story.world, &hosts, &room));
        let text = text(&story.world, hosts[0], &room);
        for piece in &story.typed {
            assert_eq!(text.matches(piece.as_str()).count(), 1, "seed {seed}: {piece} is lost");
        }
    }
}
