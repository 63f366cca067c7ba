//! Reading the settings: the file, then the environment, then flags; the later wins.

use std::{collections::BTreeMap, ffi::OsString, fmt, fs, path::PathBuf};

use super::{Config, SETTINGS, Setting};

/// Where settings come from. Nothing else in the program reads the environment.
#[derive(Debug, Default)]
pub struct ConfigSources {
    /// `--config`; the environment's `WASEND_CONFIG` when absent.
    pub file: Option<PathBuf>,
    pub environment: Vec<(OsString, OsString)>,
    /// Values of flags, by the setting's name.
    pub flags: Vec<(&'static str, String)>,
}

/// One thing wrong with the settings: which, where it came from, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} ({origin}) {complaint}")]
pub struct ConfigError {
    /// The setting, as it was written.
    pub subject: String,
    pub origin: SettingOrigin,
    pub complaint: String,
}

/// Everything wrong with the settings, so that they are put right in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

/// Where the value of a setting comes from; errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOrigin {
    Default,
    File(PathBuf),
    Environment,
    Flag,
    /// The settings are right one by one and wrong together.
    Together,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
            Self::Together => f.write_str("settings together"),
        }
    }
}

/// The variable that names the file, and so cannot stand in it.
pub const FILE_VARIABLE: &str = "WASEND_CONFIG";

/// Reads and checks everything.
pub fn load(sources: ConfigSources) -> Result<Config, ConfigErrors> {
    let mut reading = ConfigDraft { config: Config::default(), errors: Vec::new() };
    for setting in SETTINGS {
        if let Some(default) = setting.default {
            reading.set(setting, setting.name, default, SettingOrigin::Default);
        }
    }
    let environment = reading.ours(sources.environment);
    if let Some(path) = sources.file.or_else(|| environment.get(FILE_VARIABLE).map(PathBuf::from)) {
        reading.file(path);
    }
    reading.environment(&environment);
    for (name, value) in sources.flags {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
            let flag = format!("--{}", name.replace('_', "-"));
            reading.set(setting, &flag, &value, SettingOrigin::Flag);
        }
    }
    if reading.errors.is_empty() {
        for (name, complaint) in reading.config.contradictions() {
            reading.wrong(name, SettingOrigin::Together, complaint);
        }
    }
    if reading.errors.is_empty() { Ok(reading.config) } else { Err(ConfigErrors(reading.errors)) }
}

struct ConfigDraft {
    config: Config,
    errors: Vec<ConfigError>,
}

impl ConfigDraft {
    fn wrong(&mut self, subject: &str, origin: SettingOrigin, complaint: impl Into<String>) {
        self.errors.push(ConfigError { subject: subject.to_owned(), origin, complaint: complaint.into() });
    }

    fn set(&mut self, setting: &Setting, subject: &str, value: &str, origin: SettingOrigin) {
        let Err(complaint) = (setting.set)(&mut self.config, value) else { return };
        // An '@' may stand behind a password, even where none is allowed.
        let shown = if setting.secret || value.contains('@') { String::new() } else { format!(" {value:?}") };
        self.wrong(&format!("{subject}{shown}"), origin, complaint);
    }

    /// The variables of ours that hold something. An empty one is as good as none: that is how shells unset.
    fn ours(&mut self, environment: Vec<(OsString, OsString)>) -> BTreeMap<String, String> {
        let mut ours = BTreeMap::new();
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with("WASEND_")) else { continue };
            match value.into_string() {
                Err(_) => self.wrong(name, SettingOrigin::Environment, "is not UTF-8"),
                Ok(value) if value.is_empty() || is_foreign(name, &value) => {}
                Ok(value) => drop(ours.insert(name.to_owned(), value)),
            }
        }
        ours
    }

    fn environment(&mut self, variables: &BTreeMap<String, String>) {
        for (name, value) in variables {
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.env == name) {
                self.set(setting, name, value, SettingOrigin::Environment);
            } else if name != FILE_VARIABLE {
                let known = SETTINGS.iter().map(|setting| setting.env).chain([FILE_VARIABLE]);
                self.wrong(name, SettingOrigin::Environment, unknown(name, known));
            }
        }
    }

    fn file(&mut self, path: PathBuf) {
        let origin = SettingOrigin::File(path);
        let SettingOrigin::File(path) = &origin else { return };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.wrong("the file", origin.clone(), format!("cannot be read: {error}")),
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // The parser's own text quotes the line, which may hold a password.
                let line =
                    error.span().and_then(|span| text.get(..span.start)).map_or(1, |t| t.matches('\n').count() + 1);
                return self.wrong(
                    &format!("line {line}"),
                    origin.clone(),
                    format!("is not TOML: {}", error.message()),
                );
            }
        };
        self.section("", &table, &origin);
    }

    fn section(&mut self, prefix: &str, table: &toml::Table, origin: &SettingOrigin) {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
                match written(value) {
                    Some(text) => self.set(setting, &name, &text, origin.clone()),
                    None => self.wrong(
                        &name,
                        origin.clone(),
                        "must be a text, a whole number, true or false, or a list of texts",
                    ),
                }
                continue;
            }
            match value {
                toml::Value::Table(inner) if SETTINGS.iter().any(|s| s.name.starts_with(&format!("{name}."))) => {
                    self.section(&format!("{name}."), inner, origin);
                }
                _ => self.wrong(&name, origin.clone(), unknown(&name, SETTINGS.iter().map(|setting| setting.name))),
            }
        }
    }
}

/// A value of the file as people would write it in the environment.
fn written(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

/// Variables that are not settings: those of the tests, and those that Kubernetes adds for a Service named "wasend".
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_foreign(name: &str, value: &str) -> bool {
    name.starts_with("WASEND_TEST_")
        || name == "WASEND_SERVICE_HOST"
        || name.starts_with("WASEND_SERVICE_PORT")
        || (name.starts_with("WASEND_PORT") && (name != "WASEND_PORT" || value.contains("://")))
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known.map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= name.len().div_ceil(3) => {
            format!("is not a setting; did you mean {known}?")
        }
        _ => "is not a setting".to_owned(),
    }
}

#[cfg(test)]
mod tests;
