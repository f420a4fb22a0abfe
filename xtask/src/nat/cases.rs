//! What must work, and by which way (AS6).

use std::path::Path;
use std::time::Instant;

use super::net::{self, Nat};
use super::people::{ORIGIN, People};

type Case = fn(&mut People<'_>) -> Result<&'static str, String>;

/// Name, NATs, what happens in it.
const CASES: [(&str, Nat, Nat, Case); 7] = [
    ("two behind cone NATs", Nat::Cone, Nat::Cone, as6_two_behind_cone_nats_meet_directly),
    ("a cone and a symmetric NAT", Nat::Cone, Nat::Symmetric, as6_a_symmetric_nat_needs_the_relay),
    ("two symmetric NATs", Nat::Symmetric, Nat::Symmetric, as6_two_symmetric_nats_meet_through_the_relay),
    ("one without UDP", Nat::NoUdp, Nat::Cone, as6_one_side_without_udp_meets_the_other_over_tcp),
    ("both without UDP", Nat::NoUdp, Nat::NoUdp, as6_two_sides_without_udp_meet_over_tcp),
    ("the server moves", Nat::Cone, Nat::Cone, as6_a_server_that_changes_its_address_is_found_again),
    ("two behind one NAT", Nat::Symmetric, Nat::Cone, as6_two_behind_one_nat_meet_within_it),
];

/// Runs every case, says how it went, and fails if one did.
pub(super) fn all(programs: &Path, homes: &Path) -> Result<(), String> {
    let mut failed = Vec::new();
    for (number, (name, a, b, case)) in CASES.iter().enumerate() {
        net::build(*a, *b)?;
        let since = Instant::now();
        let mut people = People::new(programs, homes.join(number.to_string()))?;
        match people.start_server("203.0.113.1").and_then(|()| case(&mut people)) {
            Ok(way) => println!("   {name}: meet {way}, {:.1} s", since.elapsed().as_secs_f64()),
            Err(why) => {
                println!("   {name}: FAILED: {why}\n{}", people.last_words());
                failed.push(*name);
            }
        }
        drop(people);
        net::clear()?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("these do not meet: {}", failed.join("; "))) }
}

fn as6_two_behind_cone_nats_meet_directly(people: &mut People<'_>) -> Result<&'static str, String> {
    meet(people, "a", "b")?;
    by(people, ["ada", "ben"], "direct")
}

fn as6_a_symmetric_nat_needs_the_relay(people: &mut People<'_>) -> Result<&'static str, String> {
    meet(people, "a", "b")?;
    by(people, ["ada", "ben"], "relay")
}

fn as6_two_symmetric_nats_meet_through_the_relay(people: &mut People<'_>) -> Result<&'static str, String> {
    meet(people, "a", "b")?;
    by(people, ["ada", "ben"], "relay")
}

fn as6_one_side_without_udp_meets_the_other_over_tcp(
    people: &mut People<'_>,
) -> Result<&'static str, String> {
    meet(people, "a", "b")?;
    by(people, ["ada", "ben"], "relay")
}

fn as6_two_sides_without_udp_meet_over_tcp(people: &mut People<'_>) -> Result<&'static str, String> {
    meet(people, "a", "b")?;
    by(people, ["ada", "ben"], "relay")
}

fn as6_two_behind_one_nat_meet_within_it(people: &mut People<'_>) -> Result<&'static str, String> {
    meet(people, "a", "a")?;
    by(people, ["ada", "ben"], "direct")
}

/// Who is linked stays so while the server is away, and finds it where it is next.
fn as6_a_server_that_changes_its_address_is_found_again(
    people: &mut People<'_>,
) -> Result<&'static str, String> {
    meet(people, "a", "b")?;
    people.end("server");
    people.ask("ada", &["edit", "lab", "--insert", "without a server\n"])?;
    people.ask("ben", &["wait", "lab", "--text-contains", "without a server", "--timeout", "20s"])?;
    net::sh("ip -n server addr flush dev server-out && ip -n server addr add 203.0.113.9/24 dev server-out")?;
    people.start_server("203.0.113.9")?;
    people.start_agent("cleo", "b")?;
    join(people, "cleo")?;
    people.ask("cleo", &["wait", "lab", "--members", "3", "--timeout", "30s"])?;
    by(people, ["ada", "cleo"], "direct")
}

/// Two people in these namespaces meet in a new room, and what one writes reaches the other.
fn meet(people: &mut People<'_>, ada: &str, ben: &str) -> Result<(), String> {
    people.start_agent("ada", ada)?;
    people.start_agent("ben", ben)?;
    people.ask("ada", &["create", "lab", "--server", ORIGIN])?;
    join(people, "ben")?;
    let text = "from behind a NAT ".repeat(500);
    people.ask("ada", &["edit", "lab", "--insert", &format!("{text}end\n")])?;
    people.ask("ben", &["wait", "lab", "--text-contains", "end", "--timeout", "20s"]).map(drop)
}

fn join(people: &People<'_>, name: &str) -> Result<(), String> {
    let invitation = people.ask("ada", &["invite", "lab", "--json"])?;
    let ticket = invitation.split('"').find(|text| text.starts_with("symbolon1"));
    let ticket = ticket.ok_or("the invite names no ticket")?;
    people.ask(name, &["join", ticket, "--timeout", "30s"]).map(drop)
}

/// The way that the latest connections of these two went, which must be this one. A relay is seen as such at the end whose
/// it is; at the other it may be an address like any, if what came over it was quicker than the word of it.
fn by(people: &People<'_>, both: [&str; 2], expected: &'static str) -> Result<&'static str, String> {
    let ways = both.map(|name| people.way(name).unwrap_or_else(|| "unknown".to_owned()));
    let way = ways.iter().find(|way| *way != "direct").map_or("direct", String::as_str);
    if way == expected {
        return Ok(if way == "relay" { "through the relay" } else { "directly" });
    }
    Err(format!("they meet, but by the ways {}, not {expected}", ways.join(" and ")))
}
