use proptest::prelude::*;

use super::*;
use crate::crypto::Rng;
use crate::crypto::keys::{DeviceKeys, invite_key};
use crate::record::{Author, Policy};

fn author(n: u8) -> Author {
    Author::new(DeviceKeys::from_seed(&[n; 32]), "user", &format!("device {n}"), 1).unwrap()
}

fn room(founder: &Author) -> Records {
    let genesis = founder.genesis("room", Policy::default(), 1, &mut Rng::from_seed([0; 32])).unwrap();
    Records::new(genesis).unwrap()
}

fn invite(records: &mut Records, issuer: &Author, seed: u8, uses: u32, bound: Option<DeviceId>) -> Record {
    let key = invite_key(&[seed; 32]).public();
    let record = issuer.invite(records.room(), records.heads(), 1, key, 99, uses, bound).unwrap();
    assert!(matches!(records.insert(record.clone()), Inserted::New(_)));
    record
}

/// `by` lets `who` in, knowing all that `records` holds.
fn admit(records: &mut Records, invite: &Record, seed: u8, who: &Author, by: &Author) -> (Record, Record) {
    let acceptance = who.acceptance(records.room(), invite.id(), &invite_key(&[seed; 32])).unwrap();
    let prev = records.heads();
    let countersignature = by.countersignature(records.room(), prev, 1, acceptance.id()).unwrap();
    records.insert(acceptance.clone());
    records.insert(countersignature.clone());
    (acceptance, countersignature)
}

fn devices(records: &Records) -> Vec<DeviceId> {
    Membership::of(records).members().map(|(device, _)| *device).collect()
}

#[test]
fn ad4_any_member_admits_and_the_chain_leads_to_the_genesis() {
    let (a, b, c, d) = (author(1), author(2), author(3), author(4));
    let mut records = room(&a);
    let first = invite(&mut records, &a, 1, 1, None);
    admit(&mut records, &first, 1, &b, &a);
    let second = invite(&mut records, &b, 2, 1, None);
    admit(&mut records, &second, 2, &c, &a);
    let membership = Membership::of(&records);
    assert_eq!(membership.len(), 3);
    assert_eq!(membership.member(&c.device()).unwrap().invited_by, Some(b.device()));
    assert!(!membership.was_admitted(&d.device()));
    let chain = membership.chain(&records, &c.device()).unwrap();
    let mut alone = Records::new(chain[0].clone()).unwrap();
    for record in membership.chain(&records, &c.device()).unwrap() {
        alone.insert(record);
    }
    assert!(Membership::of(&alone).member(&c.device()).is_some(), "the chain alone shows it");
}

#[test]
fn ad4_nobody_is_let_in_by_a_stranger_by_itself_or_without_the_ticket() {
    let (a, b, c) = (author(1), author(2), author(3));
    let mut records = room(&a);
    let ticket = invite(&mut records, &a, 1, 9, None);
    admit(&mut records, &ticket, 1, &b, &b);
    admit(&mut records, &ticket, 1, &b, &c);
    assert_eq!(devices(&records), vec![a.device()], "countersigned by strangers");
    admit(&mut records, &ticket, 2, &b, &a);
    assert_eq!(devices(&records), vec![a.device()], "the wrong seed");
    let strangers = invite(&mut records, &c, 3, 1, None);
    admit(&mut records, &strangers, 3, &b, &a);
    assert_eq!(devices(&records), vec![a.device()], "an invite by a stranger");
    let bound = invite(&mut records, &a, 4, 1, Some(c.device()));
    admit(&mut records, &bound, 4, &b, &a);
    assert_eq!(devices(&records), vec![a.device()], "bound to another device");
}

#[test]
fn ad2_a_device_that_accepted_twice_has_one_place_and_a_chain() {
    let (a, b, c) = (author(1), author(2), author(3));
    for time in 1..9 {
        let mut records = room(&a);
        let ticket = invite(&mut records, &a, 1, 1, None);
        // The same device, whose own record was signed anew after it lost its disk. The first time a stranger
        // countersigned.
        let again = Author::new(DeviceKeys::from_seed(&[2; 32]), "user", "device 2", time).unwrap();
        admit(&mut records, &ticket, 1, &b, &author(9));
        admit(&mut records, &ticket, 1, &again, &a);
        let next = invite(&mut records, &b, 2, 1, None);
        admit(&mut records, &next, 2, &c, &b);
        let membership = Membership::of(&records);
        assert_eq!(membership.len(), 3);
        let chain = membership.chain(&records, &c.device()).unwrap();
        let shown = Membership::of(&Records::unlinked(chain[0].clone(), &chain));
        assert_eq!(shown.box_key(&b.device()), membership.box_key(&b.device()));
        assert!(shown.member(&c.device()).is_some());
    }
}

#[test]
fn ad2_two_concurrent_takers_are_one_member_whoever_let_them_in() {
    for seed in 10..30 {
        let (a, b, c, d) = (author(1), author(2), author(3), author(4));
        let mut records = room(&a);
        let first = invite(&mut records, &a, 1, 1, None);
        admit(&mut records, &first, 1, &b, &a);
        let ticket = invite(&mut records, &a, seed, 1, None);
        // B lets D in, not knowing that A let C in.
        let mut other = records.clone();
        let (acceptance, countersignature) = admit(&mut other, &ticket, seed, &d, &b);
        admit(&mut records, &ticket, seed, &c, &a);
        records.insert(acceptance);
        records.insert(countersignature);
        let membership = Membership::of(&records);
        assert_eq!(membership.len(), 3, "one place was taken twice");
        assert_eq!(membership.places_left(&ticket.id(), invite_of(&ticket)), 0);
        assert!(membership.was_admitted(&c.device()) && membership.was_admitted(&d.device()));
    }
}

fn invite_of(record: &Record) -> &Invite {
    let Body::Invite(invite) = record.body() else { panic!("not an invite") };
    invite
}

#[test]
fn ad2_a_use_is_one_device_and_a_later_taker_is_void() {
    let (a, b, c) = (author(1), author(2), author(3));
    let mut records = room(&a);
    let ticket = invite(&mut records, &a, 1, 1, None);
    let Some(Body::Invite(body)) = records.get(&ticket.id()).map(|r| r.body().clone()) else { panic!() };
    admit(&mut records, &ticket, 1, &b, &a);
    admit(&mut records, &ticket, 1, &b, &a);
    let membership = Membership::of(&records);
    assert_eq!(membership.places_left(&ticket.id(), &body), 0);
    assert!(membership.has_place(&ticket.id(), &b.device()), "the taker comes back");
    assert!(!membership.has_place(&ticket.id(), &c.device()));
    admit(&mut records, &ticket, 1, &c, &a);
    assert_eq!(devices(&records).len(), 2);
    assert!(Membership::of(&records).member(&b.device()).is_some());
}

#[test]
fn records_of_another_room_and_hanging_ones_do_not_count() {
    let (a, b) = (author(1), author(2));
    let mut records = room(&a);
    let other = b.genesis("other", Policy::default(), 2, &mut Rng::from_seed([1; 32])).unwrap();
    assert_eq!(records.insert(other), Inserted::Foreign);
    assert_eq!(records.insert(a.record().clone()), Inserted::Foreign);
    let key = invite_key(&[1; 32]).public();
    let hanging = a.invite(records.room(), vec![], 1, key, 99, 1, None).unwrap();
    assert_eq!(records.insert(hanging), Inserted::Waiting);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any history of invites and admissions, told in any order, makes the same members.
    #[test]
    fn ad9_the_order_of_arrival_has_no_influence(
        steps in proptest::collection::vec((0usize..5, 0usize..5, 0usize..5, 1u32..3), 1..10),
        order in any::<u64>(),
    ) {
        let people: Vec<Author> = (1..=5).map(author).collect();
        let mut records = room(&people[0]);
        for (n, (issuer, taker, by, uses)) in steps.iter().enumerate() {
            let seed = n as u8 + 1;
            let ticket = invite(&mut records, &people[*issuer], seed, *uses, None);
            let fork = records.clone();
            admit(&mut records, &ticket, seed, &people[*taker], &people[*by]);
            // Another member lets someone else in without knowing of the first.
            let mut other = fork;
            let (acceptance, countersignature) =
                admit(&mut other, &ticket, seed, &people[(*taker + 1) % 5], &people[(*by + 1) % 5]);
            records.insert(acceptance);
            records.insert(countersignature);
        }
        let expected = Membership::of(&records);
        let mut shuffled: Vec<Record> = records.iter().cloned().collect();
        let mut rng = Rng::from_seed([order as u8; 32]);
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, rng.below(i as u64 + 1) as usize);
        }
        let mut again = room(&people[0]);
        for record in shuffled {
            again.insert(record);
        }
        prop_assert_eq!(again.len(), records.len());
        prop_assert_eq!(again.heads(), records.heads());
        prop_assert_eq!(Membership::of(&again), expected);
        prop_assert_eq!(again.missing(&[]).len(), records.len());
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn a_record_changed_anywhere_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let record = author(1).record().clone();
        let mut wire = record.wire().to_vec();
        let at = at.index(wire.len());
        wire[at] ^= 1 << bit;
        prop_assert!(Record::decode(&wire).is_err());
    }
}
