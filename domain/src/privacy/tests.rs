use cqrs_es::test::{AggregateTestExecutor, TestFramework};

use super::*;

const AT: Time = Time::from_seconds(1_750_000_000);

fn given(events: &[Event]) -> AggregateTestExecutor<PrivacyRequest> {
    TestFramework::<PrivacyRequest>::with(()).given(events.to_vec())
}

/// The whole way of a request.
fn way() -> Vec<Event> {
    let key = KeyMark { id: "subject/a/b/messaging".into(), fingerprint: "ab".into() };
    vec![
        Event::Received {
            subject: SubjectId::random(),
            absorbed: vec![],
            regime: LegalRegime::Ccpa,
            ground: LegalGround::ConsumerRequest,
            reason: None,
            due_at: LegalRegime::Ccpa.due(AT),
            at: AT,
        },
        Event::Executing { at: AT },
        Event::Fenced { keys: vec![key], unreadable: None, at: AT },
        Event::KeysDestroyed { fingerprints: vec!["ab".into()], destruction: KeyDestruction { number: 1, at: AT } },
        Event::Completed { suppressed: false, at: AT },
        Event::EpochDestroyed { epoch: 3, at: AT },
    ]
}

/// The command that each event of the way follows from.
fn command(event: &Event) -> Command {
    match event.clone() {
        Event::Received { subject, regime, ground, reason, at, .. } => {
            Command::Receive { subject, absorbed: vec![], regime, ground, reason, at }
        }
        Event::Refused { exception, at } => Command::Refuse { exception, at },
        Event::NothingHeld { at } => Command::CloseEmpty { at },
        Event::HoldLifted { at } => Command::LiftHold { at },
        Event::Executing { at } => Command::Begin { at },
        Event::Fenced { keys, unreadable, at } => Command::Fence { keys, unreadable, at },
        Event::KeysDestroyed { fingerprints, destruction } => Command::Destroyed { fingerprints, destruction },
        Event::Completed { suppressed, at } => Command::Complete { suppressed, at },
        Event::EpochDestroyed { epoch, at } => Command::EndEpoch { epoch, at },
        Event::Repeated { fingerprints, destruction } => Command::Repeat { fingerprints, destruction },
    }
}

#[test]
fn each_step_follows_the_one_before_and_may_be_repeated() {
    let way = way();
    for (done, next) in way.iter().enumerate() {
        given(&way[..done]).when(command(next)).then_expect_events(vec![next.clone()]);
        given(&way[..=done]).when(command(next)).then_expect_events(vec![]);
    }
}

#[test]
fn no_step_is_left_out() {
    let way = way();
    for done in 1..way.len() {
        for later in &way[(done + 1).min(way.len())..] {
            given(&way[..done]).when(command(later)).then_expect_error(Error::NotNext(match done {
                1 => RequestState::Received,
                _ => RequestState::Executing,
            }));
        }
    }
    for step in &way[1..] {
        given(&[]).when(command(step)).then_expect_error(Error::NotFound);
    }
}

#[test]
fn what_a_restored_vault_brought_back_is_destroyed_again_and_waits_for_another_end() {
    let (way, destruction) = (way(), KeyDestruction { number: 7, at: AT });
    let repeated = Event::Repeated { fingerprints: vec!["ab".into()], destruction };
    for done in [4, 5, 6] {
        given(&way[..done]).when(command(&repeated)).then_expect_events(vec![repeated.clone()]);
    }
    for done in 1..4 {
        let state = if done == 1 { RequestState::Received } else { RequestState::Executing };
        given(&way[..done]).when(command(&repeated)).then_expect_error(Error::NotNext(state));
    }
    let again: Vec<_> = way.iter().cloned().chain([repeated.clone()]).collect();
    given(&again).when(command(&repeated)).then_expect_events(vec![]);
    let ended = Event::EpochDestroyed { epoch: 5, at: AT };
    given(&again).when(command(&ended)).then_expect_events(vec![ended.clone()]);
}

#[test]
fn a_request_is_refused_before_it_begins_or_not_at_all() {
    let (way, refuse) = (way(), || Command::Refuse { exception: LegalException::LegalClaims, at: AT });
    let refused = Event::Refused { exception: LegalException::LegalClaims, at: AT };
    given(&way[..1]).when(refuse()).then_expect_events(vec![refused.clone()]);
    given(&way[..2]).when(refuse()).then_expect_error(Error::NotNext(RequestState::Executing));
    let begun = Command::Begin { at: AT };
    given(&[way[0].clone(), refused]).when(begun).then_expect_error(Error::NotNext(RequestState::Refused));
}

#[test]
fn a_ground_belongs_to_its_law() {
    for regime in LegalRegime::ALL {
        for ground in LegalGround::ALL {
            let command = Command::Receive {
                subject: SubjectId::random(),
                absorbed: vec![],
                regime,
                ground,
                reason: None,
                at: AT,
            };
            let decided = PrivacyRequest::default().decide(command);
            assert_eq!(decided.is_ok(), (regime == LegalRegime::Ccpa) == (ground == LegalGround::ConsumerRequest));
        }
    }
}

#[test]
fn a_month_ends_with_the_next_month_and_45_days_are_45_days() {
    let time = |text: &str| text.parse::<Time>().unwrap();
    for (received, due) in [
        ("2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z"),
        ("2028-01-31T10:00:00Z", "2028-02-29T10:00:00Z"),
        ("2026-03-15T23:59:59Z", "2026-04-15T23:59:59Z"),
        ("2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z"),
    ] {
        assert_eq!(LegalRegime::Gdpr.due(time(received)), time(due));
    }
    assert_eq!(LegalRegime::Ccpa.due(time("2026-01-01T00:00:00Z")), time("2026-02-15T00:00:00Z"));
}

#[test]
fn the_hold_of_a_refusal_is_lifted_once() {
    let refused = |exception| vec![way()[0].clone(), Event::Refused { exception, at: AT }];
    let lift = Command::LiftHold { at: AT };
    for exception in LegalException::ALL {
        let tried = given(&refused(exception)).when(lift.clone());
        if exception == LegalException::Unidentified {
            tried.then_expect_error(Error::NoHold);
        } else {
            tried.then_expect_events(vec![Event::HoldLifted { at: AT }]);
        }
    }
    let lifted = [refused(LegalException::LegalClaims), vec![Event::HoldLifted { at: AT }]].concat();
    given(&lifted).when(lift.clone()).then_expect_events(vec![]);
    for step in 1..=way().len() {
        given(&way()[..step]).when(lift.clone()).then_expect_error(Error::NoHold);
    }
    given(&[]).when(lift).then_expect_error(Error::NotFound);
}

#[test]
fn a_request_about_a_person_of_whom_nothing_is_held_is_answered_at_once() {
    let received = way().remove(0);
    let empty = Event::NothingHeld { at: AT };
    given(std::slice::from_ref(&received)).when(Command::CloseEmpty { at: AT }).then_expect_events(vec![empty.clone()]);
    let answered = [received.clone(), empty];
    given(&answered).when(Command::CloseEmpty { at: AT }).then_expect_events(vec![]);
    let epoch = Command::EndEpoch { epoch: 3, at: AT };
    given(&answered).when(epoch).then_expect_error(Error::NotNext(RequestState::Completed));
    let begun = [received, Event::Executing { at: AT }];
    given(&begun).when(Command::CloseEmpty { at: AT }).then_expect_error(Error::NotNext(RequestState::Executing));
}
