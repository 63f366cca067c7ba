//! The same command id within an account is answered with its first result and writes nothing.

use wasend_eventlog::{Append, AppendRejection, AppendedRange, EventLog};

use crate::harness::{Home, account, append, new_stream, part, repeatable, stream};

crate::on_every_engine!(
    a_repeated_command_writes_nothing,
    repeated_within_one_batch,
    repeated_by_many_at_once,
    recorded_commands_are_told_among_many,
    each_account_has_its_own_commands,
    known_again_after_reopening,
);

fn command(id: &str, fingerprint: &str) -> Append {
    Append { command_id: repeatable(id, fingerprint), ..new_stream() }
}

fn answer(first: u64, last: u64, repeated: bool) -> AppendedRange {
    AppendedRange { first, last, repeated }
}

async fn a_repeated_command_writes_nothing(home: Home) {
    let log = home.log().await;
    let first = append(repeatable("o'ne \"λ\"", "f"), vec![part(stream(1), 0, 2), part(stream(2), 0, 1)]);
    assert_eq!(log.append(vec![first.clone()]).await.unwrap(), [Ok(answer(1, 3, false))]);
    // Its expectations no longer hold, and that does not matter.
    assert_eq!(log.append(vec![first.clone()]).await.unwrap(), [Ok(answer(1, 3, true))]);
    assert_eq!(log.append(vec![command("o'ne \"λ\"", "other")]).await.unwrap(), [Err(AppendRejection::CommandReused)]);
    assert_eq!(log.head().await.unwrap(), 3);
    let events = log.command(account(1), "o'ne \"λ\"").await.unwrap();
    assert_eq!(events.iter().map(|e| e.position).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(events[0].metadata.fingerprint(), Some("f"));
    assert_eq!(log.command(account(1), "unknown").await.unwrap(), []);
}

async fn repeated_within_one_batch(home: Home) {
    let log = home.log().await;
    let batch = vec![command("a", "f"), command("b", "f"), command("a", "f"), command("a", "g")];
    let expected =
        [Ok(answer(1, 1, false)), Ok(answer(2, 2, false)), Ok(answer(1, 1, true)), Err(AppendRejection::CommandReused)];
    assert_eq!(log.append(batch).await.unwrap(), expected);
    assert_eq!(log.head().await.unwrap(), 2);
}

async fn repeated_by_many_at_once(home: Home) {
    let (log, other) = (home.log().await, home.log().await);
    let clients: Vec<_> = (0..40)
        .map(|n| {
            let log = if n % 2 == 0 { log.clone() } else { other.clone() };
            tokio::spawn(async move { log.append(vec![command("a", "f")]).await.unwrap().remove(0).unwrap() })
        })
        .collect();
    let mut written = 0;
    for client in clients {
        let appended = client.await.unwrap();
        assert_eq!((appended.first, appended.last), (1, 1));
        written += u32::from(!appended.repeated);
    }
    assert_eq!((written, log.head().await.unwrap()), (1, 1));
}

async fn recorded_commands_are_told_among_many(home: Home) {
    let log = home.log().await;
    log.append(vec![command("o'ne \"λ\"", "f"), command("b", "f")]).await.unwrap();
    let asked: Vec<_> = (0..2_500).map(|n| n.to_string()).chain(["b", "o'ne \"λ\"", "b"].map(String::from)).collect();
    let recorded = log.recorded(account(1), &asked).await.unwrap();
    assert_eq!(recorded, ["b", "o'ne \"λ\""].map(String::from).into());
    assert!(log.recorded(account(2), &asked).await.unwrap().is_empty());
    assert!(log.recorded(account(1), &[]).await.unwrap().is_empty());
}

async fn each_account_has_its_own_commands(home: Home) {
    let log = home.log().await;
    let theirs = Append { account_id: account(2), ..command("a", "f") };
    let answers = log.append(vec![command("a", "f"), theirs]).await.unwrap();
    assert_eq!(answers, [Ok(answer(1, 1, false)), Ok(answer(2, 2, false))]);
    assert_eq!(log.command(account(2), "a").await.unwrap()[0].position, 2);
    assert_eq!(log.command(account(3), "a").await.unwrap(), []);
}

async fn known_again_after_reopening(home: Home) {
    let log = home.log().await;
    let id = "a key of forty-three letters, or so it seems";
    log.append(vec![command(id, "f")]).await.unwrap()[0].as_ref().unwrap();
    log.close().await;
    let log = home.log().await;
    assert_eq!(log.append(vec![command(id, "f")]).await.unwrap(), [Ok(answer(1, 1, true))]);
    assert_eq!(log.append(vec![command(id, "g")]).await.unwrap(), [Err(AppendRejection::CommandReused)]);
}
