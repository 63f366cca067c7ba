//! From the text of a setting to its value. A complaint never repeats the text: it may be a secret.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::http::HeaderValue;
use url::Url;

use super::{CorsOrigins, DatabaseUrl, ListenAddress, LogFormat};

/// What is wrong with a value, as the end of a sentence that begins with the setting's name.
pub type ParseResult<T> = Result<T, String>;

/// An IP address or `localhost` with a port.
pub fn listen(text: &str) -> ParseResult<ListenAddress> {
    let spelled = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = spelled
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| "is not an address and port, such as 127.0.0.1:8080 or [::]:8080".to_owned())?;
    Ok(ListenAddress(address))
}

/// An absolute http(s) URL without credentials, query or fragment; it stands before paths, so a last slash is dropped.
pub fn base_url(text: &str) -> ParseResult<Url> {
    let url = Url::parse(text.trim_end_matches('/'))
        .map_err(|_| "is not a URL, such as https://graph.facebook.com".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("must begin with http:// or https:// and name a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold credentials, a query or a fragment".to_owned());
    }
    Ok(url)
}

/// Several of them, separated by commas.
pub fn base_urls(text: &str) -> ParseResult<Vec<Url>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(base_url).collect()
}

/// Words separated by commas, of up to 64 characters each.
pub fn words(text: &str) -> ParseResult<Vec<String>> {
    let word = |word: &str| {
        if word.chars().count() <= 64 { Ok(word.to_owned()) } else { Err("holds a word that is too long".to_owned()) }
    };
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(word).collect()
}

/// A URL with the scheme `postgres`, `postgresql` or `sqlite`; whether it can be opened is not checked.
pub fn database_url(text: &str) -> ParseResult<DatabaseUrl> {
    let known = ["postgres://", "postgresql://", "sqlite:"].iter().any(|scheme| text.starts_with(scheme));
    if !known {
        return Err("must begin with postgres:// or sqlite:".to_owned());
    }
    Ok(DatabaseUrl(text.to_owned()))
}

/// A path without NUL characters; it need not exist.
pub fn path(text: &str) -> ParseResult<PathBuf> {
    if text.contains('\0') { Err("holds a NUL character".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// `true`, `yes`, `on` or `1`, and their opposites, in any case.
pub fn flag(text: &str) -> ParseResult<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Origins of pages (RFC 6454): a scheme and a host, perhaps with a port, and no path.
pub fn cors_origins(text: &str) -> ParseResult<CorsOrigins> {
    let origins: Vec<_> = text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
    if origins.is_empty() {
        return Ok(CorsOrigins::None);
    }
    if origins == ["*"] {
        return Ok(CorsOrigins::Any);
    }
    let origin = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let origin = url.origin().ascii_serialization();
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !text.ends_with('/');
        HeaderValue::from_str(&origin).ok().filter(|_| is_bare && url.username().is_empty())
    };
    let wrong = "must be origins such as https://app.example.com, separated by commas, or *";
    origins
        .into_iter()
        .map(|text| origin(text).ok_or_else(|| wrong.to_owned()))
        .collect::<Result<_, _>>()
        .map(CorsOrigins::Listed)
}

/// A whole number within bounds.
pub fn number<T: TryFrom<u64>>(text: &str, min: u64, max: u64) -> ParseResult<T> {
    let complaint = || format!("must be a whole number from {min} to {max}");
    let value: u64 = text.replace('_', "").parse().map_err(|_| complaint())?;
    if value < min || value > max {
        return Err(complaint());
    }
    T::try_from(value).map_err(|_| complaint())
}

/// A whole number with a unit, added up where several are given: `250ms`, `10s`, `15m`, `36h`, `30d`, `1h30m`.
pub fn duration(text: &str, min: Duration, max: Duration) -> ParseResult<Duration> {
    let value = spelled_duration(text).ok_or("must be a duration, such as 250ms, 10s, 15m, 36h or 30d")?;
    if value < min || value > max {
        return Err(format!("must lie between {} and {}", show(min), show(max)));
    }
    Ok(value)
}

/// Nothing for `off`.
pub fn duration_or_off(text: &str, min: Duration, max: Duration) -> ParseResult<Option<Duration>> {
    if text == "off" {
        return Ok(None);
    }
    duration(text, min, max).map(Some).map_err(|complaint| format!("{complaint}, or be `off`"))
}

fn spelled_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let count: u64 = count.parse().ok()?;
        let part = match unit {
            "ms" => Duration::from_millis(count),
            "s" => Duration::from_secs(count),
            "m" => Duration::from_secs(count.checked_mul(60)?),
            "h" => Duration::from_secs(count.checked_mul(3_600)?),
            "d" => Duration::from_secs(count.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

fn show(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    match seconds {
        0 => format!("{millis}ms"),
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// Bytes, with or without a unit: `65536`, `64KiB`, `4MB`.
pub fn bytes(text: &str, min: usize, max: usize) -> ParseResult<usize> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "" | "B" => Some(1),
        "kB" | "KB" => Some(1_000),
        "KiB" => Some(1 << 10),
        "MB" => Some(1_000_000),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    let value = count.parse::<usize>().ok().zip(factor).and_then(|(count, factor)| count.checked_mul(factor));
    match value {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        Some(_) => Err(format!("must lie between {min} and {max} bytes")),
        None => Err("must be a size, such as 65536, 64KiB or 4MB".to_owned()),
    }
}

/// `auto`, `pretty` or `json`.
pub fn log_format(text: &str) -> ParseResult<LogFormat> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be auto, pretty or json".to_owned()),
    }
}

/// A log level or directives of tracing-subscriber's `EnvFilter`.
pub fn log_filter(text: &str) -> ParseResult<String> {
    let complaint = "must be a level (error, warn, info, debug, trace) or directives such as info,wasend=debug";
    tracing_subscriber::EnvFilter::try_new(text).map_err(|_| complaint.to_owned())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: (Duration, Duration) = (Duration::ZERO, Duration::MAX);

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("1h30m", ANY.0, ANY.1), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("250ms", ANY.0, ANY.1), Ok(Duration::from_millis(250)));
        for wrong in ["", "10", "s", "10 s", "-1s", "1.5s", "1w", "99999999999999999999s", "300000000000000000d"] {
            assert!(duration(wrong, ANY.0, ANY.1).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_out_of_bounds_is_told_the_bounds() {
        let complaint = duration("2d", Duration::from_secs(1), Duration::from_secs(3_600)).unwrap_err();
        assert_eq!(complaint, "must lie between 1s and 1h");
        assert_eq!(number::<u32>("0", 1, 9), Err("must be a whole number from 1 to 9".to_owned()));
    }

    #[test]
    fn sizes_come_with_or_without_unit() {
        assert_eq!(bytes("64KiB", 0, usize::MAX), Ok(65_536));
        assert_eq!(bytes("4MB", 0, usize::MAX), Ok(4_000_000));
        assert!(bytes("4GB", 0, usize::MAX).is_err());
    }

    #[test]
    fn a_base_url_carries_no_secret() {
        assert!(base_url("https://graph.facebook.com/").is_ok());
        for wrong in ["graph.facebook.com", "ftp://a", "https://u:p@a", "https://a?x=1", ""] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        let listed = |origins: &[&str]| {
            CorsOrigins::Listed(origins.iter().map(|origin| HeaderValue::from_str(origin).unwrap()).collect())
        };
        for (text, expected) in [
            ("", Some(CorsOrigins::None)),
            ("*", Some(CorsOrigins::Any)),
            ("https://a.example", Some(listed(&["https://a.example"]))),
            (
                "https://A.example:443, http://localhost:3000",
                Some(listed(&["https://a.example", "http://localhost:3000"])),
            ),
            ("https://a.example/", None),
            ("https://a.example/app", None),
            ("https://me@a.example", None),
            ("https://a.example, *", None),
            ("a.example", None),
            ("null", None),
        ] {
            assert_eq!(cors_origins(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn localhost_is_an_address_and_a_bare_port_is_not() {
        assert_eq!(listen("localhost:80"), listen("127.0.0.1:80"));
        assert!(listen(":8080").is_err());
        assert!(listen("8080").is_err());
    }
}
