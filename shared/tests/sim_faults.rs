//! One fault at a time: what each of them must not do.
#![cfg(feature = "sim")]

mod sim;

use sim::{S, is_ready, ticket, world};
use symbolon_core::sim::Conditions;

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
