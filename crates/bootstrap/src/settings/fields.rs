//! Texts into types, each with its bounds. A refusal names the setting, its value and what is allowed.

use super::error::{SettingError, shown};
use super::layers::{SECRETS, Values, env_name};
use secrecy::SecretString;
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

impl Values {
    /// `None` when it is not set.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        Some(self.get(path)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn refused(&self, path: &str, allowed: impl Into<String>) -> SettingError {
        let shown = if SECRETS.contains(&path) { "(secret)".to_owned() } else { shown(self.get(path)) };
        SettingError::Invalid { name: env_name(path), shown, allowed: allowed.into() }
    }

    pub(super) fn whole<T>(&self, path: &str, range: RangeInclusive<T>) -> Result<T, SettingError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let digits = self.get(path);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain
            .then(|| digits.parse().ok())
            .flatten()
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.refused(path, format!("a whole number from {} to {}", range.start(), range.end())))
    }

    /// As [`Values::whole`], or not set.
    pub(super) fn whole_if_set<T>(&self, path: &str, range: RangeInclusive<T>) -> Result<Option<T>, SettingError>
    where
        T: FromStr + PartialOrd + Display,
    {
        if self.get(path).is_empty() { Ok(None) } else { self.whole(path, range).map(Some) }
    }

    pub(super) fn millis(&self, path: &str, range: RangeInclusive<u64>) -> Result<Duration, SettingError> {
        self.whole(path, range).map(Duration::from_millis)
    }

    /// Seconds, with decimals.
    pub(super) fn seconds(&self, path: &str, range: RangeInclusive<f64>) -> Result<Duration, SettingError> {
        self.get(path)
            .parse()
            .ok()
            .filter(|number| range.contains(number))
            .map(Duration::from_secs_f64)
            .ok_or_else(|| self.refused(path, format!("a number from {} to {}", range.start(), range.end())))
    }

    pub(super) fn flag(&self, path: &str) -> Result<bool, SettingError> {
        match self.get(path).to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(self.refused(path, "true or false")),
        }
    }

    /// One of the words, each with what it stands for.
    pub(super) fn choice<T: Copy>(&self, path: &str, words: &[(&str, T)]) -> Result<T, SettingError> {
        let text = self.get(path);
        words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
            self.refused(path, words.join(", "))
        })
    }

    /// `scheme://host…` with one of the schemes; the form alone, nothing is looked up.
    pub(super) fn url(&self, path: &str, schemes: &[&str]) -> Result<Option<String>, SettingError> {
        let Some(text) = self.text(path) else { return Ok(None) };
        if is_url(&text, schemes) { Ok(Some(text)) } else { Err(self.no_url(path, schemes)) }
    }

    /// Several of them, separated by commas.
    pub(super) fn urls(&self, path: &str, schemes: &[&str]) -> Result<Option<String>, SettingError> {
        let items = self.list(path);
        match items.iter().all(|item| is_url(item, schemes)) {
            false => Err(self.no_url(path, schemes)),
            true if items.is_empty() => Ok(None),
            true => Ok(Some(items.join(","))),
        }
    }

    fn no_url(&self, path: &str, schemes: &[&str]) -> SettingError {
        self.refused(path, format!("a URL such as {}://host:port", schemes.join(":// or ")))
    }

    pub(super) fn secret_url(&self, path: &str, schemes: &[&str]) -> Result<Option<SecretString>, SettingError> {
        Ok(self.url(path, schemes)?.map(SecretString::from))
    }

    pub(super) fn secret(&self, path: &str) -> Result<Option<SecretString>, SettingError> {
        let Some(text) = self.text(path) else { return Ok(None) };
        if !(32..=1024).contains(&text.len()) {
            return Err(self.refused(path, "32 to 1024 characters"));
        }
        Ok(Some(text.into()))
    }

    pub(super) fn address(&self, path: &str) -> Result<Option<IpAddr>, SettingError> {
        let Some(text) = self.text(path) else { return Ok(None) };
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
        bare.parse().map(Some).map_err(|_| self.refused(path, "an IP address such as 127.0.0.1 or ::"))
    }

    /// Addresses or networks, separated by commas.
    pub(super) fn networks(&self, path: &str) -> Result<Vec<(IpAddr, u8)>, SettingError> {
        let network = |item: &str| -> Option<(IpAddr, u8)> {
            let (address, length) = item.split_once('/').map_or((item, None), |(a, l)| (a, Some(l)));
            let address: IpAddr = address.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let length = length.map_or(Some(longest), |length| length.parse().ok())?;
            (length <= longest).then_some((address, length))
        };
        self.list(path)
            .iter()
            .map(|item| {
                network(item).ok_or_else(|| {
                    self.refused(path, "IP addresses or networks such as 10.0.0.0/8, separated by commas")
                })
            })
            .collect()
    }

    /// Web origins, separated by commas.
    pub(super) fn origins(&self, path: &str) -> Result<Vec<String>, SettingError> {
        let items = self.list(path);
        let origin = |item: &str| {
            let host = item.strip_prefix("https://").or_else(|| item.strip_prefix("http://"));
            item == "*"
                || host.is_some_and(|host| {
                    !host.is_empty() && !host.contains('/') && host.bytes().all(|byte| byte.is_ascii_graphic())
                })
        };
        if items.iter().all(|item| origin(item)) {
            Ok(items)
        } else {
            Err(self.refused(path, "origins such as https://example.org without a path, separated by commas, or *"))
        }
    }

    fn list(&self, path: &str) -> Vec<String> {
        self.get(path).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

fn is_url(text: &str, schemes: &[&str]) -> bool {
    let host = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix("://")).and_then(host_of);
    host.is_some_and(|host| !host.is_empty()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What stands after `scheme://`, user and password left out, up to the path. A port must be a number.
fn host_of(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let after_brackets = host.rsplit_once(']').map_or(host, |(_, after)| after);
    match after_brackets.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_err() => None,
        Some((name, _)) if name.is_empty() && !host.starts_with('[') => None,
        _ => Some(host),
    }
}

/// A URL with its password masked, for people.
pub(super) fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    // A query may carry a password too.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:***@{host}{path}")
        }
        None => format!("{scheme}://{authority}{path}"),
    }
}
