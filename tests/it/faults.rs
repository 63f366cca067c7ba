//! The fault tests (docs/faults.md), each for a few seconds.

use tokio::process::Command;

async fn faults(arguments: &[&str]) {
    let program = env!("CARGO_BIN_EXE_wasend-faults");
    let output = Command::new(program).args(arguments).kill_on_drop(true).output().await.expect("the program runs");
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    println!("{told}");
}

/// Each fault test on each engine, smaller than by hand.
macro_rules! bounded {
    ($($name:ident: $arguments:expr;)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() { super::faults(&[&$arguments[..], &["--engine", "sqlite"]].concat()).await })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() { super::faults(&[&$arguments[..], &["--engine", "postgres"]].concat()).await })*
        }
    };
}

bounded! {
    kills_lose_and_repeat_nothing: ["crash", "--kills", "3"];
    everybody_reads_one_order: ["order", "--commands", "200"];
    a_failing_store_is_told_and_survived: ["storage", "--rounds", "6"];
    a_mixed_load_is_served: ["soak", "--minutes", "0.15"];
}

#[tokio::test]
async fn another_node_takes_over() {
    faults(&["nodes", "--kills", "1"]).await;
}
