//! The executor: load, decide, append, answer.

use std::sync::Arc;

use uuid::Uuid;
use wasend_domain::DecidingAggregate;
use wasend_eventlog::{
    CommandFailure, CommandId, EventLog, ExecutedCommand, SqlLog, StreamLookup, UnitOfWork, execute, execute_all,
    execute_new, execute_new_all, load,
};

use crate::account::{Account, Command, Event, Refused};
use crate::harness::{Home, NOW, Stopped, account, append, context, fresh, part, repeatable, stream};

crate::on_every_engine!(
    a_command_becomes_events,
    a_refusal_and_no_change_record_nothing,
    what_is_foreign_looks_absent,
    a_repeated_command_is_a_success,
    a_repeated_creation_answers_with_the_first_id,
    several_commands_for_one_aggregate_see_each_other,
    a_set_is_judged_item_by_item,
    a_decision_on_what_was_not_recorded_is_taken_again,
    a_plan_spans_aggregates,
    many_workers_on_one_aggregate_lose_nothing,
    many_sets_on_the_same_aggregates_lose_nothing,
);

type Outcome = Result<ExecutedCommand<Account>, CommandFailure<Refused>>;

async fn run(log: &SqlLog, owner: u128, command_id: CommandId, id: Uuid, command: Command) -> Outcome {
    execute::<Account>(log, &Stopped, context(owner, command_id), id, command).await
}

async fn opened(log: &SqlLog, id: Uuid) {
    execute_new::<Account>(log, &Stopped, context(1, fresh()), id, Command::Found).await.unwrap();
}

async fn state(log: &SqlLog, id: Uuid) -> Account {
    load::<Account>(log, account(1), &[id]).await.unwrap().remove(&id).unwrap().present().unwrap().state
}

async fn a_command_becomes_events(home: Home) {
    let log = home.log().await;
    let id = Uuid::from_u128(9);
    opened(&log, id).await;
    let done = run(&log, 1, fresh(), id, Command::Deposit(10)).await.unwrap();
    let expected = ExecutedCommand {
        id,
        state: Account { opened: true, balance: 10, deposits: 1 },
        events: vec![Event::Deposited { amount: 10 }],
        position: 2,
        repeated: false,
    };
    assert_eq!(done, expected);
    assert_eq!(state(&log, id).await, expected.state);
    let event = log.load(&[stream(9)]).await.unwrap().remove(1);
    assert_eq!((event.metadata.actor(), event.recorded_at), ("system:test", NOW));
}

async fn a_refusal_and_no_change_record_nothing(home: Home) {
    let log = home.log().await;
    let id = Uuid::from_u128(9);
    for command_id in [fresh(), repeatable("c", "f")] {
        let refused = run(&log, 1, command_id, id, Command::Deposit(1)).await.unwrap_err();
        assert!(matches!(refused, CommandFailure::Refused(Refused::NotOpen)));
    }
    opened(&log, id).await;
    for command_id in [fresh(), repeatable("c", "f")] {
        let unchanged = run(&log, 1, command_id, id, Command::Open).await.unwrap();
        assert_eq!((unchanged.events, unchanged.position, unchanged.repeated), (vec![], 1, false));
    }
    assert_eq!(log.head().await.unwrap(), 1);
}

async fn what_is_foreign_looks_absent(home: Home) {
    let log = home.log().await;
    let id = Uuid::from_u128(9);
    opened(&log, id).await;
    let found = load::<Account>(&*log, account(2), &[id, Uuid::nil()]).await.unwrap();
    assert_eq!((&found[&id], &found[&Uuid::nil()]), (&StreamLookup::Foreign, &StreamLookup::Absent));
    // The same answer as for an id under which there is nothing.
    let refused = run(&log, 2, fresh(), id, Command::Deposit(1)).await.unwrap_err();
    assert!(matches!(refused, CommandFailure::Refused(Refused::NotOpen)));
    let taken = run(&log, 2, fresh(), id, Command::Open).await.unwrap_err();
    assert!(matches!(taken, CommandFailure::NotFound));
    let new = execute_new::<Account>(&*log, &Stopped, context(2, fresh()), id, Command::Open).await.unwrap_err();
    assert!(matches!(new, CommandFailure::NotFound));
    assert_eq!(log.head().await.unwrap(), 1);
}

async fn a_repeated_command_is_a_success(home: Home) {
    let log = home.log().await;
    let id = Uuid::from_u128(9);
    let again = || repeatable("open", "f");
    assert!(!run(&log, 1, again(), id, Command::Found).await.unwrap().repeated);
    run(&log, 1, repeatable("deposit", "f"), id, Command::Deposit(5)).await.unwrap();
    // The aggregate would now refuse the first, and take the second again.
    for (command_id, command, position) in
        [(again(), Command::Found, 1), (repeatable("deposit", "f"), Command::Deposit(5), 2)]
    {
        let repeated = run(&log, 1, command_id, id, command).await.unwrap();
        assert_eq!((repeated.repeated, repeated.position, repeated.events), (true, position, vec![]));
        assert_eq!(repeated.state, Account { opened: true, balance: 5, deposits: 1 });
    }
    let reused = run(&log, 1, repeatable("open", "other"), id, Command::Deposit(1)).await.unwrap_err();
    assert!(matches!(reused, CommandFailure::CommandReused));
    assert_eq!(log.head().await.unwrap(), 2);
}

async fn a_repeated_creation_answers_with_the_first_id(home: Home) {
    let log = home.log().await;
    let new = async |n| {
        let context = context(1, repeatable("c", "f"));
        execute_new::<Account>(&*log, &Stopped, context, Uuid::from_u128(n), Command::Found).await.unwrap()
    };
    let (first, second) = (new(1).await, new(2).await);
    assert_eq!((first.repeated, second.repeated), (false, true));
    assert_eq!((second.id, second.position, second.state), (first.id, first.position, first.state));
    assert_eq!(log.head().await.unwrap(), 1);
}

async fn several_commands_for_one_aggregate_see_each_other(home: Home) {
    let log = home.log().await;
    let id = Uuid::from_u128(9);
    let commands =
        [Command::Deposit(1), Command::Found, Command::Deposit(2), Command::Found, Command::Deposit(3), Command::Open];
    let commands = commands.into_iter().map(|command| (context(1, fresh()), id, command)).collect();
    let outcomes = execute_all::<Account>(&*log, &Stopped, commands).await;
    let seen: Vec<_> =
        outcomes.iter().map(|outcome| outcome.as_ref().map(|done| (done.state.balance, done.position)).ok()).collect();
    assert_eq!(seen, [None, Some((0, 1)), Some((2, 2)), None, Some((5, 3)), Some((5, 3))]);
    assert_eq!(state(&log, id).await.deposits, 2);
}

async fn a_set_is_judged_item_by_item(home: Home) {
    let log = home.log().await;
    let (mine, theirs, new) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    opened(&log, mine).await;
    execute_new::<Account>(&*log, &Stopped, context(2, fresh()), theirs, Command::Open).await.unwrap();
    let item = |command_id, id, command| (context(1, command_id), id, command);
    let outcomes = execute_all::<Account>(
        &*log,
        &Stopped,
        vec![
            item(repeatable("a", "f"), mine, Command::Deposit(1)),
            item(repeatable("a", "f"), mine, Command::Deposit(1)),
            item(fresh(), mine, Command::Deposit(10)),
            item(repeatable("a", "g"), mine, Command::Deposit(1)),
            item(fresh(), theirs, Command::Deposit(1)),
            item(fresh(), theirs, Command::Open),
            item(fresh(), new, Command::Found),
        ],
    )
    .await;
    let kinds: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(done) if done.repeated => "repeated",
            Ok(_) => "done",
            Err(CommandFailure::Refused(_)) => "refused",
            Err(CommandFailure::NotFound) => "absent",
            Err(CommandFailure::CommandReused) => "reused",
            Err(_) => "failed",
        })
        .collect();
    assert_eq!(kinds, ["done", "repeated", "done", "reused", "refused", "absent", "done"]);
    assert_eq!(state(&log, mine).await, Account { opened: true, balance: 11, deposits: 2 });
    assert!(state(&log, new).await.opened);
}

async fn a_decision_on_what_was_not_recorded_is_taken_again(home: Home) {
    let log = home.log().await;
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    run(&log, 1, repeatable("a", "f"), one, Command::Open).await.unwrap();
    let commands = vec![
        // Not recorded: its id was used for something else.
        (context(1, repeatable("a", "other")), two, Command::Found),
        (context(1, fresh()), two, Command::Found),
        (context(1, fresh()), two, Command::Open),
    ];
    let outcomes = execute_all::<Account>(&*log, &Stopped, commands).await;
    assert!(matches!(outcomes[0], Err(CommandFailure::CommandReused)));
    assert_eq!(outcomes[1].as_ref().unwrap().events, [Event::Opened]);
    assert_eq!(outcomes[2].as_ref().unwrap().position, 2);
}

async fn a_plan_spans_aggregates(home: Home) {
    let log = home.log().await;
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    opened(&log, one).await;
    let mut found = load::<Account>(&*log, account(1), &[one]).await.unwrap();
    let mut first = found.remove(&one).unwrap().present().unwrap();
    let mut second = wasend_eventlog::LoadedAggregate::<Account>::default();
    let mut plan = UnitOfWork::new(context(1, fresh()), NOW);
    plan.decide(one, &mut first, Command::Deposit(1)).unwrap();
    plan.decide(two, &mut second, Command::Open).unwrap();
    assert!(plan.decide(two, &mut second, Command::Found).is_err());
    plan.decide(two, &mut second, Command::Deposit(7)).unwrap();
    assert_eq!((first.state.balance, second.state.balance, second.sequence), (1, 7, 2));
    assert!(!plan.is_empty());
    let appended = log.append(vec![plan.into_append()]).await.unwrap().remove(0).unwrap();
    assert_eq!((appended.first, appended.last), (2, 4));
    assert_eq!((state(&log, one).await, state(&log, two).await), (first.state, second.state));
}

async fn many_workers_on_one_aggregate_lose_nothing(home: Home) {
    // Half of them on another node.
    let logs = [home.log().await, home.log().await];
    let id = Uuid::from_u128(9);
    opened(&logs[0], id).await;
    let workers: Vec<_> = (0..16)
        .map(|worker| {
            let log = Arc::clone(&logs[worker % 2]);
            tokio::spawn(async move {
                for _ in 0..25 {
                    run(&log, 1, fresh(), id, Command::Deposit(1)).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(state(&logs[0], id).await, Account { opened: true, balance: 400, deposits: 400 });
    assert_eq!(logs[0].head().await.unwrap(), 401);
}

async fn many_sets_on_the_same_aggregates_lose_nothing(home: Home) {
    let log = home.log().await;
    let ids: Vec<_> = (0..5).map(Uuid::from_u128).collect();
    let open = ids.iter().map(|id| (context(1, fresh()), *id, Command::Open)).collect();
    assert!(execute_new_all::<Account>(&*log, &Stopped, open).await.iter().all(Result::is_ok));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (log, ids) = (log.clone(), ids.clone());
            tokio::spawn(async move {
                for _ in 0..5 {
                    let deposits = ids.iter().chain(&ids).map(|id| (context(1, fresh()), *id, Command::Deposit(1)));
                    let outcomes = execute_all::<Account>(&*log, &Stopped, deposits.collect()).await;
                    assert!(outcomes.iter().all(Result::is_ok));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for id in ids {
        assert_eq!(state(&log, id).await.deposits, 80);
    }
    // What the aggregate decides is what cqrs-es would have it decide.
    assert_eq!(Account::default().decide(Command::Deposit(1)), Err(Refused::NotOpen));
    assert!(log.append(vec![append(fresh(), vec![part(stream(0), 0, 1)])]).await.unwrap()[0].is_err());
}
