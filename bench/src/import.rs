//! An import of contacts, from the mutation that begins it until it is done.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::{Value, json};
use wasend_tests::Engine;

use crate::bench::Bench;
use crate::lives::phone;
use crate::load::per_second;
use crate::report::Line;
use crate::row::Row;
use crate::send::RATE;
use crate::server::Server;

const ROWS: u64 = 200_000;
const QUICK: u64 = 20_000;

pub struct Import;

#[async_trait(?Send)]
impl Row for Import {
    fn name(&self) -> &'static str {
        "import"
    }

    fn about(&self) -> &'static str {
        "a CSV file of new contacts with a name and two attributes, from importContacts to DONE; then the same again"
    }

    async fn run(&self, bench: &Bench) -> anyhow::Result<()> {
        let default = if bench.arguments.quick { QUICK } else { ROWS };
        for engine in bench.engines() {
            for rows in bench.sizes(&[default]) {
                let server = Server::start(bench, engine, RATE).await?;
                for rerun in [false, true] {
                    bench.report.line(&measure(&server, engine, rows, rerun).await?)?;
                }
                server.end().await;
            }
        }
        Ok(())
    }
}

async fn measure(server: &Server, engine: Engine, rows: u64, rerun: bool) -> anyhow::Result<Line> {
    let client = server.client();
    let upload = client.http.post(format!("{}uploads", client.url)).bearer_auth(&client.key).body(file(rows)?);
    let answer: Value = upload.send().await?.json().await?;
    let upload = answer["uploadId"].as_str().with_context(|| answer.to_string())?;
    let before = server.usage()?;
    let start = Instant::now();
    let input = json!({"filename": "people.csv", "uploadId": upload, "mode": "UPDATE"});
    let begun = client.mutate("importContacts", input, "import { id } errors { code message }").await;
    let id = begun["import"]["id"].as_str().with_context(|| begun.to_string())?;
    let query = "query($id: ID!) { import(id: $id) { state failure counters { created unchanged } } }";
    let import = loop {
        let import = client.data(query, json!({"id": id})).await["import"].take();
        if ["DONE", "FAILED", "CANCELLED"].iter().any(|state| import["state"] == *state) {
            break import;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let taken = start.elapsed();
    let counted = &import["counters"][if rerun { "unchanged" } else { "created" }];
    ensure!(import["state"] == "DONE" && *counted == rows, "{import}");
    Ok(Line::new("import", engine, "rows/s", per_second(rows, taken))
        .size(rows)
        .with("rows", if rerun { "unchanged" } else { "new" })
        .with_number("seconds", taken.as_secs_f64())
        .with_number("server_cores", server.usage()?.cores_since(before))
        .with_number("rss_peak_mb", server.memory()?.1))
}

fn file(rows: u64) -> anyhow::Result<String> {
    let mut file = String::from("phone,name,city,customer\n");
    for row in 0..usize::try_from(rows)? {
        writeln!(file, "{},Erika Mustermann {row},Berlin,C-{row}", phone(row))?;
    }
    Ok(file)
}
