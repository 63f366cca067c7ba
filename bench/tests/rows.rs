//! Every row runs for an instant on both engines: what it reports has its form, whatever the figures are.

use std::process::Command;

use serde_json::Value;

/// Each row, how many lines it has for an engine, and whether a peer stands in them.
macro_rules! rows {
    ($($row:ident $lines:literal $peer:literal,)*) => {
        $(#[test]
        fn $row() {
            check(stringify!($row), $lines, $peer);
        })*

        #[test]
        fn all_of_them_are_here() {
            let help = Command::new(env!("CARGO_BIN_EXE_wasend-bench")).arg("--help").output().expect("it runs");
            let listed = format!("[possible values: {}]", [$(stringify!($row)),*].join(", "));
            assert!(String::from_utf8_lossy(&help.stdout).contains(&listed), "{listed}");
        }
    };
}

rows! {
    appends 1 true,
    commands 1 true,
    replay 1 true,
    send 2 false,
    bulk 2 false,
    statuses 2 false,
    subscribe 3 false,
    import 2 false,
    erase 1 false,
    growth 6 false,
    memory 2 false,
    scale 4 false,
}

fn check(row: &str, lines_an_engine: usize, peer: bool) {
    let (environment, lines) = run(row);
    assert!(environment["cores"].as_u64() > Some(0) && environment["fdatasync_us"].as_u64() > Some(0), "{environment}");
    for name in ["sqlite", "postgres"] {
        assert!(environment[name].is_string(), "{environment}");
        assert_eq!(lines.iter().filter(|line| line["engine"] == name).count(), lines_an_engine, "{lines:?}");
    }
    for line in lines {
        assert_eq!(line["bench"], row);
        assert!(line["ours"].as_f64() > Some(0.0) && line["unit"].is_string(), "{line}");
        for name in ["peer", "ratio"] {
            assert_eq!(line[name].as_f64() > Some(0.0), peer, "{line}");
        }
        assert_eq!(line["peer_name"].is_string(), peer, "{line}");
    }
}

/// What the row says of its environment, and what it measured.
#[expect(clippy::disallowed_methods, reason = "scripts/test says so where Postgres is")]
fn run(row: &str) -> (Value, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasend-bench"));
    command.args([row, "--json", "--seconds", "0.2", "--clients", "2", "--size", "300"]);
    // One of them starts a private Postgres, as users get; the others are quicker with the tests' one.
    if row != "appends" {
        command.args(["--postgres", &std::env::var("WASEND_TEST_POSTGRES").expect("run the tests with scripts/test")]);
    }
    let output = command.output().expect("the benchmark runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let environment = lines.next().expect("the environment comes first");
    assert_eq!(environment["bench"], "environment");
    (environment, lines.collect())
}
