//! The layers settings come from, laid over each other: built in, by mode, a file, the environment. Texts alone; what they mean is in
//! `fields`.

use super::error::{SettingError, shown};
use config::{Config, File, FileFormat};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const DEFAULTS: &str = include_str!("../../../../config/default.toml");
const EMBEDDED: &str = include_str!("../../../../config/embedded.toml");
/// Read from the working directory when no other file is named.
const USUAL_FILE: &str = "son1k.toml";
/// No setting is longer: a file of a secret beyond it is a mistake.
const LONGEST: u64 = 64 * 1024;

/// Whose values are never shown.
pub(super) const SECRETS: [&str; 10] = [
    "database_url",
    "rabbitmq_url",
    "redis_url",
    "admin_api_key",
    "system_api_key",
    "api_key_pepper",
    "token_encryption_keys",
    "internal_auth_secret",
    "token_provisioner_secret",
    "railway.token",
];

/// What a local process does without, whatever is configured: `son1k demo` touches nobody's servers.
const REMOTE: [&str; 6] =
    ["database_url", "rabbitmq_url", "redis_url", "token_pool_url", "suno_api_url", "token_provisioner_url"];

/// Every setting's path and text; an empty text is "not set".
#[derive(Debug, Clone)]
pub(super) struct Values(BTreeMap<String, String>);

/// Where a process reads its settings.
pub struct Sources<'a> {
    /// `--config`.
    pub file: Option<PathBuf>,
    pub environment: &'a dyn Fn(&str) -> Option<OsString>,
    /// May run on the embedded store.
    pub may_embed: bool,
    /// Must not use any server of others.
    pub local: bool,
}

pub(super) fn env_name(path: &str) -> String {
    path.replace('.', "_").to_uppercase()
}

impl Values {
    pub(super) fn get(&self, path: &str) -> &str {
        self.0.get(path).map_or("", String::as_str)
    }

    pub(super) fn set(&mut self, path: &str, text: String) {
        self.0.insert(path.to_owned(), text);
    }
}

/// Lays the layers.
pub(super) fn read(sources: &Sources<'_>) -> Result<Values, SettingError> {
    let known = leaves(DEFAULTS).map_err(|problem| broken("config/default.toml", &problem))?;
    let file = chosen_file(sources.file.as_deref())?;
    let mut given = BTreeMap::new();
    if let Some((name, text)) = &file {
        let of_file = leaves(text).map_err(|problem| broken(name, &problem))?;
        let unknown: Vec<&str> =
            of_file.iter().map(String::as_str).filter(|path| !known.contains(&(*path).to_owned())).collect();
        if !unknown.is_empty() {
            return Err(broken(name, &format!("unknown settings: {}", unknown.join(", "))));
        }
    }
    for path in &known {
        if let Some(text) = from_environment(path, sources.environment)? {
            given.insert(path.clone(), text);
        }
    }
    if sources.local {
        given.extend(REMOTE.iter().map(|path| ((*path).to_owned(), String::new())));
    }
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    let names_database = |text: &str| {
        text.parse::<toml::Table>()
            .is_ok_and(|t| t.get("database_url").and_then(|v| v.as_str()).is_some_and(|v| !v.is_empty()))
    };
    let database = given
        .get("database_url")
        .map_or_else(|| file.as_ref().is_some_and(|(_, text)| names_database(text)), |url| !url.is_empty());
    if sources.may_embed && !database {
        builder = builder.add_source(File::from_str(EMBEDDED, FileFormat::Toml));
    }
    if let Some((_, text)) = &file {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    for (path, text) in given {
        builder = builder.set_override(path, text).map_err(|error| broken("the environment", &error.to_string()))?;
    }
    let laid = builder.build().map_err(|error| broken("the settings", &error.to_string()))?;
    let mut values = BTreeMap::new();
    for path in known {
        let text = laid.get_string(&path).map_err(|_| SettingError::Invalid {
            name: env_name(&path),
            shown: "a list or table".to_owned(),
            allowed: "one text, number or truth value".to_owned(),
        })?;
        values.insert(path, text.trim().to_owned());
    }
    Ok(Values(values))
}

fn broken(file: &str, problem: &str) -> SettingError {
    let line: Vec<&str> = problem.split_whitespace().collect();
    SettingError::File { file: file.to_owned(), problem: line.join(" ") }
}

/// The file's name and text, if there is one to be read.
fn chosen_file(named: Option<&Path>) -> Result<Option<(String, String)>, SettingError> {
    let path = named.unwrap_or(Path::new(USUAL_FILE));
    if named.is_none() && !path.exists() {
        return Ok(None);
    }
    let name = path.display().to_string();
    match read_bounded(path) {
        Ok(text) => Ok(Some((name, text))),
        Err(problem) => Err(broken(&name, &problem)),
    }
}

fn read_bounded(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST { Err(format!("longer than {LONGEST} bytes")) } else { Ok(text) }
}

/// The paths of all leaves of a TOML text. The message of a syntax error names its line and never quotes it.
fn leaves(text: &str) -> Result<Vec<String>, String> {
    fn walk(table: &toml::Table, under: &str, into: &mut Vec<String>) {
        for (key, value) in table {
            let path = if under.is_empty() { key.clone() } else { format!("{under}.{key}") };
            match value {
                toml::Value::Table(inner) => walk(inner, &path, into),
                _ => into.push(path),
            }
        }
    }
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line =
            error.span().and_then(|span| text.get(..span.start)).map_or(1, |before| before.matches('\n').count() + 1);
        format!("not TOML at line {line}: {}", error.message())
    })?;
    let mut paths = Vec::new();
    walk(&table, "", &mut paths);
    Ok(paths)
}

/// A setting's text from the environment, or from the file that `…_FILE` names.
fn from_environment(
    path: &str,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<String>, SettingError> {
    let name = env_name(path);
    let secret = SECRETS.contains(&path);
    let look = |name: &str| -> Result<Option<String>, SettingError> {
        let Some(raw) = environment(name).filter(|raw| !raw.is_empty()) else { return Ok(None) };
        raw.into_string().map(Some).map_err(|_| SettingError::Invalid {
            name: name.to_owned(),
            shown: "bytes".to_owned(),
            allowed: "UTF-8".to_owned(),
        })
    };
    let direct = look(&name)?;
    if !secret {
        return Ok(direct);
    }
    let by_file = format!("{name}_FILE");
    let Some(file) = look(&by_file)? else { return Ok(direct) };
    if direct.is_some() {
        return Err(SettingError::Conflict(format!("{name} and {by_file} are both set: only one may be")));
    }
    let text = read_bounded(Path::new(&file)).map_err(|problem| SettingError::Invalid {
        name: by_file.clone(),
        shown: shown(&file),
        allowed: format!("a readable file ({problem})"),
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err(SettingError::Invalid {
            name: by_file,
            shown: shown(&file),
            allowed: "a file that is not empty".to_owned(),
        });
    }
    Ok(Some(text.to_owned()))
}

/// All paths in the order of the manual.
pub(super) fn manual() -> impl Iterator<Item = (Option<&'static str>, &'static str)> {
    let mut table = None;
    DEFAULTS.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = Some(name);
            return None;
        }
        let (key, _) = line.split_once(" = ")?;
        (!key.starts_with('#')).then_some((table, key))
    })
}
