use cqrs_es::test::TestFramework;

use super::*;

fn given(events: Vec<Event>) -> cqrs_es::test::AggregateTestExecutor<Contact> {
    TestFramework::<Contact>::with(()).given(events)
}

fn created() -> Event {
    Event::Created { source: ContactOrigin::Api, attributes: None }
}

#[test]
fn an_erased_contact_leaves_its_groups_and_is_closed() {
    let (group, request) = (GroupId::random(), PrivacyRequestId::random());
    given(vec![created(), Event::GroupJoined { group }])
        .when(Command::Erase(request))
        .then_expect_events(vec![Event::GroupLeft { group }, Event::Erased { request }]);
    let erased = vec![created(), Event::Erased { request }];
    given(erased.clone()).when(Command::Erase(PrivacyRequestId::random())).then_expect_events(vec![]);
    for command in [
        Command::Create { source: ContactOrigin::Message, attributes: None },
        Command::Update { changed: vec![ContactPart::Name], attributes: None },
        Command::OptOut { via: ConsentChannel::Meta, scope: ConsentScope::All, at: Time::from_seconds(1) },
        Command::OptIn { via: ConsentChannel::Api, scope: ConsentScope::All, at: Time::from_seconds(2) },
        Command::JoinGroup(group),
        Command::LeaveGroup(group),
    ] {
        given(erased.clone()).when(command).then_expect_error(Error::Erased);
    }
}

#[test]
fn a_held_contact_is_erased_once_every_hold_is_lifted() {
    let (one, two) = (PrivacyRequestId::random(), PrivacyRequestId::random());
    let (first, second) = (one.min(two), one.max(two));
    let held = vec![created(), Event::ErasureHeld { request: second }, Event::ErasureHeld { request: first }];
    let erase = || Command::Erase(PrivacyRequestId::random());
    given(held.clone()).when(erase()).then_expect_error(Error::Held(first));
    given(held.clone()).when(Command::Hold(first)).then_expect_events(vec![]);
    given(held.clone()).when(Command::LiftHold(PrivacyRequestId::random())).then_expect_events(vec![]);
    let lifted = Event::ErasureHoldLifted { request: first };
    given(held.clone()).when(Command::LiftHold(first)).then_expect_events(vec![lifted.clone()]);
    let one_left = [held, vec![lifted]].concat();
    given(one_left.clone()).when(erase()).then_expect_error(Error::Held(second));
    let none_left = [one_left, vec![Event::ErasureHoldLifted { request: second }]].concat();
    let request = PrivacyRequestId::random();
    given(none_left).when(Command::Erase(request)).then_expect_events(vec![Event::Erased { request }]);
}

#[test]
fn a_person_that_only_the_directory_knows_is_erased_as_well() {
    let request = PrivacyRequestId::random();
    given(vec![]).when(Command::Erase(request)).then_expect_events(vec![Event::Erased { request }]);
}

fn state(events: Vec<Event>) -> Contact {
    let mut contact = Contact::default();
    for event in events {
        contact.apply(event);
    }
    contact
}

fn out(scope: ConsentScope, seconds: i64) -> Event {
    Event::OptedOut { via: ConsentChannel::Api, scope, at: Some(Time::from_seconds(seconds)) }
}

fn back(scope: ConsentScope, seconds: i64) -> Event {
    Event::OptedIn { via: ConsentChannel::Api, scope, at: Some(Time::from_seconds(seconds)) }
}

fn merged(survivor: &Contact, id: SubjectId, other: &Contact) -> Contact {
    let mut survivor = survivor.clone();
    for command in survivor.merge_commands(id, other) {
        for event in survivor.decide(command).unwrap() {
            survivor.apply(event);
        }
    }
    survivor
}

#[test]
fn a_merged_contact_is_closed_and_can_still_be_erased() {
    let (group, into, request) = (GroupId::random(), SubjectId::random(), PrivacyRequestId::random());
    let before = vec![created(), Event::GroupJoined { group }, Event::ErasureHeld { request }];
    given(before.clone())
        .when(Command::MergeInto(into))
        .then_expect_events(vec![Event::GroupLeft { group }, Event::Merged { into }]);
    let closed = [before, vec![Event::GroupLeft { group }, Event::Merged { into }]].concat();
    given(closed.clone()).when(Command::MergeInto(into)).then_expect_events(vec![]);
    for command in [
        Command::MergeInto(SubjectId::random()),
        Command::Create { source: ContactOrigin::Message, attributes: None },
        Command::JoinGroup(group),
        Command::Absorb { contact: SubjectId::random(), absorbed: BTreeSet::new() },
        Command::OptIn { via: ConsentChannel::Api, scope: ConsentScope::All, at: Time::from_seconds(2) },
    ] {
        given(closed.clone()).when(command).then_expect_error(Error::Merged(into));
    }
    given(closed).when(Command::Erase(request)).then_expect_events(vec![Event::Erased { request }]);
}

#[test]
fn the_survivor_takes_over_groups_holds_and_everyone_that_was_absorbed() {
    let (group, request) = (GroupId::random(), PrivacyRequestId::random());
    let (loser, third) = (SubjectId::random(), SubjectId::random());
    let other = state(vec![
        created(),
        Event::GroupJoined { group },
        Event::ErasureHeld { request },
        Event::Absorbed { contact: third },
    ]);
    let survivor = merged(&state(vec![created()]), loser, &other);
    assert_eq!(survivor.absorbed, BTreeSet::from([loser, third]));
    assert_eq!((survivor.groups.clone(), survivor.holds.clone()), (other.groups.clone(), other.holds.clone()));
    assert_eq!(merged(&survivor, loser, &other), survivor);
}

#[test]
fn the_stricter_consent_wins_a_merge_at_each_level() {
    use ConsentScope::{All, Marketing};
    let contact = |words: Vec<Event>| state([vec![created()], words].concat());
    let cases = [
        (vec![], vec![out(All, 1)], (true, false)),
        (vec![out(All, 1)], vec![], (true, false)),
        (vec![out(All, 1)], vec![back(All, 2)], (true, false)),
        (vec![back(All, 2)], vec![out(All, 1)], (true, false)),
        (vec![out(Marketing, 1)], vec![back(All, 2)], (false, true)),
        (vec![out(All, 3)], vec![out(Marketing, 1)], (true, true)),
        (vec![back(All, 1)], vec![back(All, 2)], (false, false)),
        (vec![], vec![], (false, false)),
    ];
    for (one, two, expected) in cases {
        let (one, two) = (contact(one), contact(two));
        for (survivor, other) in [(&one, &two), (&two, &one)] {
            let done = merged(survivor, SubjectId::random(), other);
            assert_eq!((done.opted_out, done.marketing_opted_out), expected, "{survivor:?} {other:?}");
            // What either had heard before changes nothing when it is reported again.
            let again = [one.consent_at, two.consent_at].into_iter().flatten();
            for at in again.filter(|_| done.opted_out) {
                let word = ConsentChoice { opted_out: false, scope: All, via: ConsentChannel::Api, at: Some(at) };
                assert!(done.opted_out_after(Some(word)));
            }
        }
    }
}
