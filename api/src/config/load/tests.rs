use std::{io::Write, time::Duration};

use super::*;

fn from_env(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    load(ConfigSources { environment, ..ConfigSources::default() })
}

fn from_file(text: &str) -> Result<Config, ConfigErrors> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    load(ConfigSources { file: Some(file.path().to_owned()), ..ConfigSources::default() })
}

fn complaints(result: Result<Config, ConfigErrors>) -> String {
    result.expect_err("is refused").to_string()
}

#[test]
fn the_defaults_are_a_configuration() {
    let config = from_env(&[]).unwrap();
    assert_eq!(config.http.listen.0.to_string(), "127.0.0.1:8080");
    assert_eq!(config.dispatch.reconcile_window, Duration::from_secs(900));
    assert_eq!(config.storage.database_url, None);
}

#[test]
fn names_and_variables_are_unique() {
    let names: std::collections::BTreeSet<_> = SETTINGS.iter().flat_map(|s| [s.name, s.env]).collect();
    assert_eq!(names.len(), 2 * SETTINGS.len());
}

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "listen = '127.0.0.1:1'\ndata_dir = 'file'\nmax_connections = 5\n[graphql]\nmax_depth = 9").unwrap();
    let config = load(ConfigSources {
        file: None,
        environment: vec![
            ("WASEND_CONFIG".into(), file.path().into()),
            ("WASEND_LISTEN".into(), "127.0.0.1:2".into()),
            ("WASEND_DATA_DIR".into(), "env".into()),
        ],
        flags: vec![("listen", "127.0.0.1:3".to_owned())],
    })
    .unwrap();
    assert_eq!(config.http.listen.0.port(), 3);
    assert_eq!(config.storage.data_dir, PathBuf::from("env"));
    assert_eq!((config.http.max_connections, config.graphql.max_depth), (5, 9));
}

#[test]
fn all_errors_are_told_at_once_with_setting_origin_and_reason() {
    let text = complaints(from_env(&[("WASEND_LISTEN", "8080"), ("WASEND_META_TIMEOUT", "10")]));
    assert!(text.contains("WASEND_LISTEN \"8080\" (environment) is not an address"), "{text}");
    assert!(text.contains("WASEND_META_TIMEOUT \"10\" (environment) must be a duration"), "{text}");
}

#[test]
fn unknown_names_get_the_nearest_known_one() {
    let text = complaints(from_env(&[("WASEND_LISTN", "x")]));
    assert!(text.contains("WASEND_LISTN (environment) is not a setting; did you mean WASEND_LISTEN?"), "{text}");
    let text = complaints(from_file("[dispatch]\nconcurency = 4"));
    assert!(text.contains("dispatch.concurency") && text.contains("did you mean dispatch.concurrency?"), "{text}");
    assert!(complaints(from_file("[nonsense_of_mine]\na = 1")).ends_with("is not a setting"));
}

#[test]
fn secrets_are_never_echoed() {
    for text in [
        complaints(from_env(&[("WASEND_DATABASE_URL", "mysql://u:hunter2@h/d")])),
        complaints(from_env(&[("WASEND_META_BASE_URL", "https://u:hunter2@h")])),
        complaints(from_file("database_url = 'mysql://u:hunter2@h/d'")),
        complaints(from_file("database_url = postgres://u:hunter2@h/d'")),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_is_not_ours_is_let_be() {
    let kubernetes = [("WASEND_PORT", "tcp://10.0.0.1:80"), ("WASEND_PORT_80_TCP_ADDR", "10.0.0.1")];
    assert!(from_env(&kubernetes).is_ok());
    assert!(from_env(&[("WASEND_SERVICE_HOST", "10.0.0.1"), ("WASEND_TEST_POSTGRES", "x")]).is_ok());
    assert!(from_env(&[("WASEND_DATABASE_URL", "")]).unwrap().storage.database_url.is_none());
    assert!(from_env(&[("WASEND_PORT", "8080")]).is_err());
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    let text = complaints(from_env(&[("WASEND_SIMULATOR_ENABLED", "false")]));
    assert!(text.contains("meta.base_url (settings together) is needed"), "{text}");
}

#[test]
fn a_missing_or_broken_file_is_named() {
    let text =
        complaints(load(ConfigSources { file: Some("/nowhere/wasend.toml".into()), ..ConfigSources::default() }));
    assert!(text.contains("in /nowhere/wasend.toml"), "{text}");
    assert!(complaints(from_file("a = 1\nb = = 2")).contains("line 2"));
    assert!(complaints(from_file("listen = 1.5")).contains("must be a text"));
}
