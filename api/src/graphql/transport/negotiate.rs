//! Media types: which one the client wants (RFC 9110, 12.5.1), and whether its body has one that is understood.

use axum::http::{HeaderMap, header};

/// The media types that an answer can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMedia {
    /// `application/graphql-response+json`
    ResponseJson,
    /// `application/json`
    Json,
    /// `text/event-stream`
    EventStream,
    /// `text/html`
    Html,
}

impl ResponseMedia {
    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::ResponseJson => ("application", "graphql-response+json"),
            Self::Json => ("application", "json"),
            Self::EventStream => ("text", "event-stream"),
            Self::Html => ("text", "html"),
        }
    }

    /// The value of `Content-Type`, with the charset.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::ResponseJson => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// Which one to take where the client wants several as much: its own word for GraphQL where it says it, and plain
    /// JSON where it only says "anything", which is what clients that know nothing of GraphQL say.
    const fn preference(self, exact: bool) -> u8 {
        match (self, exact) {
            (Self::ResponseJson, true) => 4,
            (Self::Json, _) => 3,
            (Self::ResponseJson, false) => 2,
            (Self::EventStream, _) => 1,
            (Self::Html, _) => 0,
        }
    }
}

/// One entry of `Accept`.
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Thousandths.
    quality: u16,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut quality = 1_000;
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = thousandths(value.trim())?,
                "charset" if !is_utf8(value) => return None,
                _ => {}
            }
        }
        Some(Self { kind, subtype, quality })
    }

    /// How closely it names the media: 3 exactly, 2 by its kind, 1 anything.
    fn closeness(&self, media: ResponseMedia) -> Option<u8> {
        let (kind, subtype) = media.parts();
        match (self.kind, self.subtype) {
            ("*", "*") => Some(1),
            (k, "*") if k.eq_ignore_ascii_case(kind) => Some(2),
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some(3),
            _ => None,
        }
    }
}

fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u16 = whole.parse().ok()?;
    if fraction.len() > 3 || whole > 1 {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    Some((whole * 1_000 + fraction).min(1_000))
}

fn is_utf8(charset: &str) -> bool {
    matches!(charset.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8")
}

/// The best of what is offered; none when the client wants nothing of it. Without `Accept`, the first offered of
/// `application/json` or anything.
pub fn negotiate(headers: &HeaderMap, offered: &[ResponseMedia]) -> Option<ResponseMedia> {
    let values: Vec<&str> = headers.get_all(header::ACCEPT).iter().map(|v| v.to_str().unwrap_or("")).collect();
    let accept = if values.is_empty() { "*/*".to_owned() } else { values.join(",") };
    let ranges: Vec<MediaRange> = accept.split(',').filter_map(MediaRange::parse).collect();
    let rank = |media: ResponseMedia| {
        // The closest entry decides, so that `*/*, text/html;q=0` excludes HTML.
        let (closeness, quality) =
            ranges.iter().filter_map(|range| Some((range.closeness(media)?, range.quality))).max()?;
        (quality > 0).then(|| (quality, closeness, media.preference(closeness == 3)))
    };
    let ranked = offered.iter().filter_map(|media| Some((rank(*media)?, *media)));
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, media)| media)
}

/// Whether the body is declared as JSON in UTF-8, which is also what JSON is without a charset.
pub fn has_json_body(headers: &HeaderMap) -> bool {
    let mut declared = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (declared.next().and_then(|value| value.to_str().ok()), declared.next()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    is_json
        && parts
            .filter_map(|parameter| parameter.split_once('='))
            .all(|(name, value)| !name.trim().eq_ignore_ascii_case("charset") || is_utf8(value))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const ALL: [ResponseMedia; 4] =
        [ResponseMedia::ResponseJson, ResponseMedia::Json, ResponseMedia::EventStream, ResponseMedia::Html];

    fn accept(text: &str) -> Option<ResponseMedia> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(text).unwrap());
        negotiate(&headers, &ALL)
    }

    #[test]
    fn the_client_gets_what_it_asks_for() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (wanted, media) in [
            ("*/*", Some(ResponseMedia::Json)),
            ("application/*", Some(ResponseMedia::Json)),
            ("application/json", Some(ResponseMedia::Json)),
            ("APPLICATION/GraphQL-Response+JSON; charset=UTF-8", Some(ResponseMedia::ResponseJson)),
            ("application/json, application/graphql-response+json", Some(ResponseMedia::ResponseJson)),
            ("application/graphql-response+json;q=0.5, application/json", Some(ResponseMedia::Json)),
            ("application/json, */*", Some(ResponseMedia::Json)),
            ("text/event-stream", Some(ResponseMedia::EventStream)),
            (browser, Some(ResponseMedia::Html)),
            ("text/plain", None),
            ("application/json; charset=latin1", None),
            ("application/json;q=0", None),
            ("*/*, application/json;q=0", Some(ResponseMedia::ResponseJson)),
            ("", None),
        ] {
            assert_eq!(accept(wanted), media, "{wanted}");
        }
    }

    #[test]
    fn silence_means_json() {
        assert_eq!(negotiate(&HeaderMap::new(), &ALL), Some(ResponseMedia::Json));
    }

    #[test]
    fn only_json_in_utf8_is_read() {
        for (declared, read) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=utf-16", false),
            ("application/graphql", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(declared).unwrap());
            assert_eq!(has_json_body(&headers), read, "{declared}");
        }
        assert!(!has_json_body(&HeaderMap::new()));
    }
}
