use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn serving_is_the_default_and_flags_stand_anywhere() {
    assert!(parse("wasend").unwrap().command.is_none());
    for line in ["wasend --listen 127.0.0.1:0 serve", "wasend serve --listen 127.0.0.1:0"] {
        assert_eq!(parse(line).unwrap().settings.listen.as_deref(), Some("127.0.0.1:0"), "{line}");
    }
}

#[test]
fn wrong_usage_has_the_status_2() {
    for line in [
        "wasend serv",
        "wasend account create",
        "wasend events --account x",
        "wasend events --aggregate message",
        "wasend events --open",
        "wasend events --from 0",
        "wasend projections rebuild",
        "wasend vault",
        "wasend vault rotate --wait soon",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn every_command_explains_itself() {
    for line in [
        "wasend",
        "wasend serve",
        "wasend demo",
        "wasend account create",
        "wasend events",
        "wasend projections rebuild",
        "wasend vault rotate",
        "wasend vault status",
    ] {
        let error = parse(&format!("{line} --help")).expect_err(line);
        assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{line}");
        assert_eq!(error.exit_code(), 0);
    }
}

#[test]
fn a_configuration_error_has_the_status_2_and_a_failure_1() {
    assert_eq!(CliFailure::Config(ConfigErrors(vec![])).status(), 2);
    assert_eq!(CliFailure::Failed(String::new()).status(), 1);
}
