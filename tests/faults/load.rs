//! Clients of every kind at once. Each repeats what was not answered, as the documentation tells them to, and books
//! what was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use wasend_tests::Client;

use crate::ledger::{Book, Erased, Ledger};
use crate::meta::Meta;

const SENDERS: u64 = 6;
const BULK: usize = 25;
const ROWS: usize = 200;
/// People who are written to again and again.
const RECIPIENTS: u32 = 5_000;
/// Before a request is made again.
const AGAIN: Duration = Duration::from_millis(100);

/// One client's view of the servers.
#[derive(Clone)]
struct Caller {
    /// The same account on every node.
    nodes: Vec<Client>,
    number: String,
    ledger: Arc<Ledger>,
    stopping: Arc<AtomicBool>,
    rng: Rng,
}

pub struct Load {
    pub ledger: Arc<Ledger>,
    stopping: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    /// `ease` stretches the pauses between requests.
    pub fn start(nodes: &[Client], number: &str, meta: &Arc<Meta>, seed: u64, ease: u32) -> Self {
        let (ledger, stopping) = (Arc::new(Ledger::default()), Arc::new(AtomicBool::new(false)));
        let caller = |which: u64| Caller {
            nodes: nodes.to_vec(),
            number: number.to_owned(),
            ledger: ledger.clone(),
            stopping: stopping.clone(),
            rng: Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(which)),
        };
        let pause = |millis| Duration::from_millis(millis) * ease;
        let mut clients = JoinSet::new();
        for sender in 0..SENDERS {
            clients.spawn(caller(sender).sends(sender, pause(60)));
        }
        clients.spawn(caller(100).sends_in_bulk(pause(600)));
        clients.spawn(caller(101).imports(pause(1_500)));
        clients.spawn(caller(102).erases(pause(700)));
        clients.spawn(caller(103).writes_in(Arc::clone(meta), pause(150)));
        Self { ledger, stopping, clients }
    }

    /// Waits until every request that was begun is answered; gives what was acknowledged.
    pub async fn stop(self) -> Book {
        self.stopping.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        std::mem::take(&mut *self.ledger.open())
    }
}

fn recipient(rng: &mut Rng) -> String {
    format!("+1650555{:04}", rng.u32(0..RECIPIENTS))
}

impl Caller {
    fn goes_on(&self) -> bool {
        !self.stopping.load(Ordering::Relaxed)
    }

    /// The payload of a mutation, however often it takes. A refusal is the caller's to judge.
    async fn mutate(&mut self, name: &str, input: &Value, fields: &str) -> Value {
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let query =
            format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ {fields} errors {{ code message }} }} }}");
        loop {
            let node = self.rng.choice(&self.nodes).expect("there is a node").clone();
            let begun = Instant::now();
            let answer = node.try_ask(&query, json!({"input": input})).await;
            if let Ok(mut answer) = answer {
                let payload = answer["data"][name].take();
                if payload.is_object() && payload["errors"][0]["code"] != "BUSY" {
                    if name == "sendMessage" {
                        self.ledger.open().latencies.push(begun.elapsed());
                    }
                    return payload;
                }
                let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("BUSY");
                if !["UNAVAILABLE", "BUSY"].contains(&code) {
                    self.ledger.open().broken.push(format!("{name} is answered {code}: {answer}"));
                }
            }
            self.ledger.open().unanswered += 1;
            sleep(AGAIN).await;
        }
    }

    fn message(&self, to: &str, key: &str) -> Value {
        json!({"numberId": self.number, "to": to, "text": {"body": format!("Hello {key}")}, "idempotencyKey": key})
    }

    /// Sends a message and books it; its id.
    async fn send(&mut self, to: &str, key: &str) -> Option<String> {
        let input = self.message(to, key);
        let fields = "message { id } position repeated";
        let sent = self.mutate("sendMessage", &input, fields).await;
        let Some(id) = self.book(to, &sent) else {
            self.ledger.open().broken.push(format!("a message was not accepted: {sent}"));
            return None;
        };
        if self.rng.u8(0..8) == 0 {
            let again = self.mutate("sendMessage", &input, fields).await;
            let mut book = self.ledger.open();
            book.repeated += 1;
            if again["message"]["id"] != json!(id) || again["repeated"] != json!(true) {
                book.broken.push(format!("the same key gave {sent} and then {again}"));
            }
        }
        Some(id)
    }

    fn book(&self, to: &str, sent: &Value) -> Option<String> {
        let (id, position) = (sent["message"]["id"].as_str()?, sent["position"].as_u64()?);
        self.ledger.open().book(to, id, position);
        Some(id.to_owned())
    }

    fn book_import(&self, begun: &Value, people: Vec<String>) {
        let mut book = self.ledger.open();
        if !begun["position"].is_u64() {
            book.broken.push(format!("an import was not accepted: {begun}"));
            return;
        }
        book.people.extend(people);
        // It has no name yet where the read models are late.
        book.imports.extend(begun["import"]["id"].as_str().map(str::to_owned));
    }

    fn book_erasure(&self, phone: String, asked: &Value, messages: Vec<String>) {
        let request = asked["request"]["id"].as_str().map(str::to_owned);
        let mut book = self.ledger.open();
        // A request that was done before its sender heard of it leaves nothing to be found.
        if asked["position"].is_u64() || asked["errors"][0]["code"] == "NOT_FOUND" {
            book.erased.insert(phone, Erased { request, messages });
        } else {
            book.broken.push(format!("an erasure was not accepted: {asked}"));
        }
    }

    fn book_text(&self, from: String) {
        let mut book = self.ledger.open();
        book.received += 1;
        book.people.insert(from);
    }

    async fn sends(mut self, which: u64, pause: Duration) {
        for n in 0_u64.. {
            if !self.goes_on() {
                return;
            }
            let to = recipient(&mut self.rng);
            self.send(&to, &format!("single-{which}-{n}")).await;
            sleep(pause).await;
        }
    }

    async fn sends_in_bulk(mut self, pause: Duration) {
        for n in 0_u64.. {
            if !self.goes_on() {
                return;
            }
            let people: Vec<String> = (0..BULK).map(|_| recipient(&mut self.rng)).collect();
            let message = |(at, to): (usize, &String)| self.message(to, &format!("bulk-{n}-{at}"));
            let messages: Vec<Value> = people.iter().enumerate().map(message).collect();
            let fields = "results { message { id } position errors { code } }";
            // What of it was not accepted for now is repeated with the rest: each has its key.
            loop {
                let sent = self.mutate("sendMessages", &json!({"messages": messages}), fields).await;
                let results = sent["results"].as_array().cloned().unwrap_or_default();
                let booked = people.iter().zip(&results).filter_map(|(to, sent)| self.book(to, sent)).count();
                if booked == BULK {
                    break;
                }
                if !results.iter().any(|sent| sent["errors"][0]["code"] == "BUSY") {
                    self.ledger.open().broken.push(format!("a bulk was not accepted: {sent}"));
                    break;
                }
            }
            sleep(pause).await;
        }
    }

    async fn imports(mut self, pause: Duration) {
        for n in 0_u32.. {
            if !self.goes_on() {
                return;
            }
            let people: Vec<String> = (0..ROWS).map(|_| format!("+1650556{:04}", self.rng.u32(0..10_000))).collect();
            let rows: Vec<String> =
                people.iter().map(|phone| format!("{phone},Person {phone} of file {n}\n")).collect();
            let input = json!({"filename": format!("{n}.csv"), "content": format!("phone,name\n{}", rows.concat())});
            let begun = self.mutate("importContacts", &input, "import { id } position").await;
            self.book_import(&begun, people);
            sleep(pause).await;
        }
    }

    async fn erases(mut self, pause: Duration) {
        for n in 0_u32.. {
            if !self.goes_on() {
                return;
            }
            let phone = format!("+1650557{:04}", n % 10_000);
            let mut messages = Vec::new();
            for which in 0..2 {
                messages.extend(self.send(&phone, &format!("erased-{n}-{which}")).await);
            }
            let subject = json!({"phone": phone});
            let input = json!({"subject": subject, "regime": "GDPR", "ground": "WITHDRAWN_CONSENT", "reason": "asked"});
            let asked = self.mutate("requestErasure", &input, "request { id } position").await;
            self.book_erasure(phone, &asked, messages);
            sleep(pause).await;
        }
    }

    async fn writes_in(mut self, meta: Arc<Meta>, pause: Duration) {
        for n in 0_u64.. {
            if !self.goes_on() {
                return;
            }
            let from = recipient(&mut self.rng);
            let wamid = format!("wamid.inbound{n:012}");
            while !meta.write_in(&from, &wamid).await {
                self.ledger.open().unanswered += 1;
                sleep(AGAIN).await;
            }
            // Meta tells everything at least once.
            if self.rng.bool() {
                meta.write_in(&from, &wamid).await;
            }
            self.book_text(from);
            sleep(pause).await;
        }
    }
}
