//! The file of the embedded log is damaged while no server runs: cut off, overwritten, or one bit turned.

use std::fs;
use std::path::Path;

use fastrand::Rng;
use wasend_tests::{Engine, World};

use crate::stage::Stage;
use crate::verdict::Verdict;

#[derive(Debug, Clone, Copy)]
enum Damage {
    CutOff,
    Overwritten,
    BitTurned,
}

#[derive(Default)]
struct Tally {
    told: u32,
    unharmed: u32,
    wrong: Vec<String>,
}

pub async fn run(verdict: &mut Verdict, seed: u64, rounds: u32) {
    let mut rng = Rng::with_seed(seed);
    let Stage { mut world, client, number, .. } = Stage::set(Engine::Sqlite).await;
    for n in 0..300 {
        client.send_text(&number, &format!("+1650555{:04}", n % 100), "What this says is known").await;
    }
    world.stop().await;
    let truth = world.run(&["events"]).await;
    let file = world.data.path().join("log.db");
    let whole = fs::read(&file).expect("the log's file");
    for damage in [Damage::CutOff, Damage::Overwritten, Damage::BitTurned] {
        let mut tally = Tally::default();
        for _ in 0..rounds {
            let (bytes, what) = spoil(&whole, damage, &mut rng);
            put(&file, &bytes);
            look(&world, &truth, &what, &mut tally).await;
        }
        let Tally { told, unharmed, wrong } = tally;
        let times = format!("{told} of {rounds} times it was told, {unharmed} times the history was whole");
        verdict.held(
            &format!("a damaged log ({damage:?}) never gives a wrong history"),
            wrong.first().map_or(Ok(times), |first| Err(format!("{} times it did, such as: {first}", wrong.len()))),
        );
    }
    let mut tally = Tally::default();
    for _ in 0..rounds.min(5) {
        let (bytes, what) = spoil(&whole, Damage::Overwritten, &mut rng);
        put(&file, &bytes);
        serve(&mut world, &what, &mut tally).await;
    }
    let wrong = tally
        .wrong
        .first()
        .map_or(Ok(format!("{} starts were refused, {} served", tally.told, tally.unharmed)), |w| Err(w.clone()));
    verdict.held("a server on a damaged log says so or serves, and never panics", wrong);
    put(&file, &whole);
    let restored = world.start_again().await;
    verdict.held("with the file restored it starts", restored.map(|()| "as before".to_owned()));
}

fn put(file: &Path, bytes: &[u8]) {
    for side in ["-wal", "-shm"] {
        let side = file.with_file_name(format!("log.db{side}"));
        if side.exists() {
            fs::remove_file(side).expect("a file is removed");
        }
    }
    fs::write(file, bytes).expect("a file is written");
}

fn spoil(whole: &[u8], damage: Damage, rng: &mut Rng) -> (Vec<u8>, String) {
    let mut bytes = whole.to_vec();
    let at = rng.usize(0..bytes.len());
    match damage {
        Damage::CutOff => bytes.truncate(at),
        Damage::Overwritten => {
            let page = at / 4_096 * 4_096;
            let end = (page + 4_096).min(bytes.len());
            rng.fill(&mut bytes[page..end]);
        }
        Damage::BitTurned => bytes[at] ^= 1 << rng.u8(0..8),
    }
    (bytes, format!("{damage:?} at byte {at} of {}", whole.len()))
}

/// The history is told as it was, or it is told that it cannot be.
async fn look(world: &World, truth: &str, what: &str, tally: &mut Tally) {
    let (ok, printed, complaint) = world.try_run(&["events"]).await;
    match (ok, printed == truth) {
        (true, true) => tally.unharmed += 1,
        (true, false) => tally.wrong.push(format!("{what}: another history")),
        (false, _) if !is_clear(&complaint) => tally.wrong.push(format!("{what}: {complaint}")),
        // What was printed before it met the damage is true.
        (false, _) if !truth.starts_with(&printed) => {
            tally.wrong.push(format!("{what}: another history, then {complaint}"));
        }
        (false, _) => tally.told += 1,
    }
}

fn is_clear(complaint: &str) -> bool {
    complaint.contains("damaged") && !complaint.contains("panic")
}

async fn serve(world: &mut World, what: &str, tally: &mut Tally) {
    match world.start_again().await {
        Err(complaint) if is_clear(&complaint) => tally.told += 1,
        Err(complaint) => tally.wrong.push(format!("{what}: {complaint}")),
        Ok(()) => {
            let client = world.client();
            // An answer or a clear refusal; what matters is that it lives and that nothing panicked.
            for _ in 0..3 {
                drop(client.try_ask("{ messages(first: 50) { nodes { id status } } }", serde_json::json!({})).await);
            }
            let output = world.output();
            world.kill().await;
            if output.contains("\"panic\"") {
                tally.wrong.push(format!("{what}: {output}"));
            } else {
                tally.unharmed += 1;
            }
        }
    }
}
