//! GraphiQL for people with a browser, served whole: it is opened with an API key in it, so it loads nothing from
//! anywhere else, and it works without internet.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

const PAGE: &str = include_str!("../../../assets/graphiql/page.html");
const START: &[u8] = include_bytes!("../../../assets/graphiql/start.js");
const GRAPHIQL: &[u8] = include_bytes!("../../../assets/graphiql/graphiql.js.gz");
const STYLE: &[u8] = include_bytes!("../../../assets/graphiql/graphiql.css.gz");
const REACT: &[u8] = include_bytes!("../../../assets/graphiql/react.js.gz");
const REACT_DOM: &[u8] = include_bytes!("../../../assets/graphiql/react-dom.js.gz");

/// The page may load from this server alone. Its editor sets styles and fonts.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; \
                      frame-ancestors 'none'";

/// `GET /graphql` for browsers: GraphiQL under a content security policy.
pub fn page() -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::REFERRER_POLICY, "no-referrer")];
    (headers, Html(PAGE)).into_response()
}

/// `/graphiql/{file}`. The large ones are stored and sent compressed: every browser takes gzip.
pub async fn asset(Path(file): Path<String>) -> Response {
    let script = "text/javascript; charset=utf-8";
    let (kind, bytes) = match file.as_str() {
        "start.js" => return ([(header::CONTENT_TYPE, script)], START).into_response(),
        "graphiql.js" => (script, GRAPHIQL),
        "graphiql.css" => ("text/css; charset=utf-8", STYLE),
        "react.js" => (script, REACT),
        "react-dom.js" => (script, REACT_DOM),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let cache = (header::CACHE_CONTROL, "public, max-age=86400");
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_ENCODING, "gzip"), cache], bytes).into_response()
}
