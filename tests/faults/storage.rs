//! What the stores stand on fails: the disk is full or broken, PostgreSQL is away or hangs, the database file is damaged.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasend_tests::{Client, Engine};

use crate::check;
use crate::cluster::Cluster;
use crate::disk::{self, Disk, Means};
use crate::load::Load;
use crate::process;
use crate::settle::settle;
use crate::stage::Stage;
use crate::subscriber::Subscriber;
use crate::verdict::{Found, Verdict};

mod rot;

/// A request is refused by then, however a store fails: the server answers within 30 seconds.
const BOUND: Duration = Duration::from_secs(40);
/// By then everything goes on without a restart, once the store is back.
const RECOVERY: Duration = Duration::from_secs(60);

pub async fn run(verdict: &mut Verdict, engine: Engine, seed: u64, means: Option<Means>, rounds: u32) {
    let means = means.unwrap_or_else(Means::best);
    Box::pin(full_disk(verdict, engine, seed, means)).await;
    match engine {
        Engine::Postgres => Box::pin(outages(verdict, seed)).await,
        Engine::Sqlite => Box::pin(rot::run(verdict, seed, rounds)).await,
    }
}

/// Messages that are tried at once.
const PROBES: usize = 16;

/// A server under load, watched.
struct Scene {
    stage: Stage,
    load: Load,
    /// Messages that were tried while a store failed.
    probes: Vec<Value>,
    subscribers: (Subscriber, Subscriber),
}

impl Scene {
    fn begin(mut stage: Stage, seed: u64) -> Self {
        // Requests that hang are to be seen as such.
        stage.client.http = reqwest::Client::builder().timeout(BOUND * 2).no_proxy().build().expect("a client is made");
        let nodes = [stage.client.clone()];
        let subscribers = check::subscribers(&nodes);
        let load = Load::start(&nodes, &stage.number, &stage.meta, seed, 3);
        Self { stage, load, probes: Vec::new(), subscribers }
    }

    async fn end(self, verdict: &mut Verdict) {
        let Self { stage, load, probes, subscribers: (statuses, audit) } = self;
        // As every client, this one repeats what was not answered.
        for probe in probes {
            let to = probe["to"].as_str().expect("a phone number").to_owned();
            let sent = stage.client.send(probe).await;
            let mut book = load.ledger.open();
            match (sent["message"]["id"].as_str(), sent["position"].as_u64()) {
                (Some(id), Some(position)) => book.book(&to, id, position),
                _ => book.broken.push(format!("a message was not accepted: {sent}")),
            }
        }
        let book = load.stop().await;
        verdict.held("nothing is stuck", settle(&stage.client, &stage.meta, &book).await);
        check::all(verdict, &stage.world, &stage.client, &stage.meta, &book, (&statuses, &audit)).await;
    }
}

async fn full_disk(verdict: &mut Verdict, engine: Engine, seed: u64, means: Means) {
    Verdict::note(format!("the disk is full ({means:?})"));
    let disk = Disk::make(means);
    let stage = match engine {
        Engine::Sqlite => Stage::on(engine, None, None, |start| start.within(disk.path()).under(&disk::PATIENT)).await,
        Engine::Postgres => {
            let cluster = Cluster::start(Some(disk.path()));
            let database = cluster.fresh_database("faults").await;
            Stage::on(engine, Some(cluster), Some(&database), |start| start).await
        }
    };
    let mut scene = Scene::begin(stage, seed);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let writers = |scene: &Scene| match &scene.stage.cluster {
        None => vec![scene.stage.world.id()],
        Some(cluster) => cluster.processes(),
    };
    let largest = match &scene.stage.cluster {
        None => disk::largest(scene.stage.world.data.path()),
        Some(cluster) => disk::largest(&cluster.directory().join("data/base")).max(1 << 20),
    };
    disk.fill(&writers(&scene), largest);
    verdict
        .held("on a full disk a write is refused, clearly and in time", refused(&scene.stage, &mut scene.probes).await);
    disk.free(&writers(&scene));
    if let Some(cluster) = &scene.stage.cluster
        && cluster.try_start().is_ok()
    {
        Verdict::note("PostgreSQL had ended for want of space, and was started again");
    }
    verdict.held("with room again it goes on by itself", ready_again(&scene.stage).await);
    scene.end(verdict).await;
}

async fn outages(verdict: &mut Verdict, seed: u64) {
    let stage = Stage::set(Engine::Postgres).await;
    let mut scene = Scene::begin(stage, seed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cluster = scene.stage.cluster.as_ref().expect("a cluster");
    for (how, away, back) in [
        ("is away", Cluster::kill as fn(&Cluster), Cluster::start_again as fn(&Cluster)),
        ("hangs", Cluster::freeze, Cluster::thaw),
    ] {
        Verdict::note(format!("PostgreSQL {how}"));
        away(cluster);
        let (write, read, ready) = tokio::join!(
            refused(&scene.stage, &mut scene.probes),
            fails(&scene.stage.client, "{ messages(first: 1) { nodes { id status } } }", json!({})),
            not_ready(&scene.stage),
        );
        verdict.held(&format!("while PostgreSQL {how}, a write is refused"), write);
        verdict.held(&format!("while PostgreSQL {how}, a read is refused"), read);
        verdict.held(&format!("while PostgreSQL {how}, /readyz says so"), ready);
        back(cluster);
        verdict.held("once it is back, it goes on by itself", ready_again(&scene.stage).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    scene.end(verdict).await;
}

/// A request that fails clearly: an answer with a code, in time.
async fn fails(client: &Client, query: &str, variables: Value) -> Found {
    let begun = Instant::now();
    let answer = client.try_ask(query, variables).await.map_err(|error| format!("no answer: {error}"))?;
    let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("no error").to_owned();
    let told = format!("{code} after {} ms", begun.elapsed().as_millis());
    if code == "UNAVAILABLE" && begun.elapsed() < BOUND { Ok(told) } else { Err(format!("{told}: {answer}")) }
}

/// Writes until one is refused: on a disk that has just become full the first ones may find room.
async fn refused(stage: &Stage, probes: &mut Vec<Value>) -> Found {
    let query = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { message { id } errors { code } } }";
    let begun = Instant::now();
    loop {
        let some: Vec<Value> = (0..PROBES).map(|n| probe(&stage.number, probes.len() + n)).collect();
        probes.extend(some.iter().cloned());
        let tried = some.into_iter().map(|input| fails(&stage.client, query, json!({"input": input})));
        let mut found = futures::future::join_all(tried).await;
        if let Some(at) = found.iter().position(Result::is_ok) {
            return found.swap_remove(at);
        }
        if begun.elapsed() > BOUND {
            return found.swap_remove(0);
        }
    }
}

/// A message that takes some room.
fn probe(number: &str, n: usize) -> Value {
    let body = json!({"body": "x".repeat(4_000)});
    let to = format!("+1650559{:04}", n % 10_000);
    json!({"numberId": number, "to": to, "text": body, "idempotencyKey": format!("probe-{n}")})
}

async fn not_ready(stage: &Stage) -> Found {
    let begun = Instant::now();
    loop {
        let answer = stage.client.http.get(format!("{}readyz", stage.world.url)).send().await;
        let answer = answer.map_err(|error| format!("no answer: {error}"))?;
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        if status == 503 {
            return Ok(format!("{text} after {} ms", begun.elapsed().as_millis()));
        }
        if begun.elapsed() > BOUND {
            return Err(format!("{status} {text}"));
        }
    }
}

/// The same process is ready and takes a write.
async fn ready_again(stage: &Stage) -> Found {
    let begun = Instant::now();
    while begun.elapsed() < RECOVERY {
        let ready = stage.client.http.get(format!("{}readyz", stage.world.url)).send().await;
        let ready = ready.is_ok_and(|answer| answer.status() == 200);
        let query = "mutation($input: OptInInput!) { optIn(input: $input) { errors { code } } }";
        let written = stage.client.try_ask(query, json!({"input": {"phone": "+16505550001"}})).await;
        if ready && written.is_ok_and(|answer| answer.get("errors").is_none()) {
            return Ok(format!("after {} ms", begun.elapsed().as_millis()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lives = !process::title(stage.world.id()).is_empty();
    Err(format!("not after {} s; the server {}", RECOVERY.as_secs(), if lives { "runs" } else { "has ended" }))
}
