//! Relay connections with keyset cursors: <https://relay.dev/graphql/connections.htm>

use async_graphql::connection::{
    self, ConnectionNameType, CursorType, DefaultConnectionName, DefaultEdgeName, Edge, EdgeNameType, EmptyFields,
};
use async_graphql::{Context, Object, OutputType, Result};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{FutureExt, future::BoxFuture};
use wasend_projections::engine::sql::StoreError;
use wasend_projections::list::{self, Filter, Listed, Page};
use wasend_projections::{Cell, Reads, Record};

use super::error::{invalid, unavailable};
use super::state::State;
use crate::problem::Code;

/// Size of a page for which none is asked.
const DEFAULT: usize = 20;
/// Largest page.
const MAX: usize = 100;
/// Longest key in a cursor, in bytes; those that are made stay below.
const KEY_MAX: usize = 100;
/// Of the cursors' form; cursors of another one are refused.
const VERSION: &str = "1";

/// In which order rows are listed: by one unique column.
pub trait Ordered: Record {
    /// In the cursors, so that none is taken for another list's.
    const LIST: &'static str;
    const COLUMN: &'static str;
    const DESCENDING: bool = false;

    /// The row's value of the column.
    fn key(&self) -> Cell;

    /// Reads such a value; a key that no row can have is none.
    fn parse(key: &str) -> Option<Cell> {
        let plain = key.len() <= KEY_MAX && key.bytes().all(|b| b.is_ascii_graphic());
        plain.then(|| Cell::from(key))
    }
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    fn of<R: Ordered>(row: &R) -> Self {
        let key = match row.key() {
            Cell::Text(text) => text.unwrap_or_default(),
            Cell::Int(number) => number.unwrap_or_default().to_string(),
        };
        Self(BASE64_URL_SAFE_NO_PAD.encode(format!("{VERSION}/{}/{key}", R::LIST)))
    }

    fn read<R: Ordered>(text: &str) -> Result<Cell> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let plain = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let key = plain.as_deref().and_then(|plain| {
            let mut parts = plain.splitn(3, '/');
            let ours = parts.next() == Some(VERSION) && parts.next() == Some(R::LIST);
            R::parse(parts.next().filter(|_| ours)?)
        });
        key.ok_or_else(|| Code::InvalidCursor.graphql("the cursor was not made by this connection"))
    }
}

impl CursorType for Cursor {
    type Error = std::convert::Infallible;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        Ok(Self(text.to_owned()))
    }

    fn encode_cursor(&self) -> String {
        self.0.clone()
    }
}

/// The arguments of a connection.
#[derive(Debug, Clone, Default)]
pub struct Window {
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
}

impl Window {
    pub const fn new(first: Option<i32>, after: Option<String>, last: Option<i32>, before: Option<String>) -> Self {
        Self { first, after, last, before }
    }

    pub fn page<R: Ordered>(&self) -> Result<Page> {
        let (limit, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(invalid("first and last exclude each other")),
            (None, None) => (DEFAULT, false),
            (Some(first), None) => (size("first", first)?, false),
            (None, Some(last)) => (size("last", last)?, true),
        };
        let cursor = |text: &Option<String>| text.as_deref().map(Cursor::read::<R>).transpose();
        let (after, before) = (cursor(&self.after)?, cursor(&self.before)?);
        Ok(Page { column: R::COLUMN, descending: R::DESCENDING, after, before, limit, from_end })
    }
}

fn size(name: &str, number: i32) -> Result<usize> {
    let number = usize::try_from(number).ok().filter(|number| (1..=MAX).contains(number));
    number.ok_or_else(|| invalid(format!("{name} must be from 1 to {MAX}")))
}

/// The complexity of a connection: that of its rows, as often as the page may have any.
pub fn cost(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    let rows = first.or(last).and_then(|rows| usize::try_from(rows).ok()).unwrap_or(DEFAULT);
    times(rows.clamp(1, MAX), child)
}

/// Far above every limit, and so far below the largest number that no sum of it over a document wraps around.
const BEYOND: usize = 1 << 40;

/// The complexity of a list that has about so many rows.
pub fn times(rows: usize, child: usize) -> usize {
    rows.saturating_mul(child).saturating_add(1).min(BEYOND)
}

/// A connection, called after its nodes unless `C` and `E` say otherwise for itself and its edges.
pub type Connection<N, C = DefaultConnectionName, E = DefaultEdgeName> =
    connection::Connection<Cursor, N, Total, EmptyFields, C, E>;

type Counting = Box<dyn Fn(Reads) -> BoxFuture<'static, Result<u64, StoreError>> + Send + Sync>;

/// What a connection has beside its page.
pub struct Total(Counting);

impl Total {
    pub fn new(
        counting: impl Fn(Reads) -> BoxFuture<'static, Result<u64, StoreError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(counting))
    }
}

#[Object]
impl Total {
    /// How many there are on all pages together.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u64> {
        (self.0)(State::of(ctx).reads.clone()).await.map_err(unavailable)
    }
}

/// One page of a list as a connection.
pub async fn connect<R: Ordered, N: OutputType, C: ConnectionNameType, E: EdgeNameType>(
    state: &State,
    filter: Filter,
    window: &Window,
    node: impl Fn(R) -> N,
) -> Result<Connection<N, C, E>> {
    let page = window.page::<R>()?;
    let listed = list::list::<R>(&state.reads, filter.clone(), page).await.map_err(unavailable)?;
    let total = Total::new(move |reads| {
        let filter = filter.clone();
        async move { list::count::<R>(&reads, &filter).await }.boxed()
    });
    Ok(connection(listed, total, node))
}

pub fn connection<R: Ordered, N: OutputType, C: ConnectionNameType, E: EdgeNameType>(
    listed: Listed<R>,
    total: Total,
    node: impl Fn(R) -> N,
) -> Connection<N, C, E> {
    let mut connection = Connection::with_additional_fields(listed.has_previous, listed.has_next, total);
    connection.edges = listed.rows.into_iter().map(|row| Edge::new(Cursor::of(&row), node(row))).collect();
    connection
}

#[cfg(test)]
mod tests {
    use wasend_domain::Time;
    use wasend_projections::audit::AuditRow;
    use wasend_projections::contacts::GroupRow;

    use super::*;

    fn group(id: &str) -> GroupRow {
        let at = Time::from_micros(0);
        let (account_id, name) = (String::new(), String::new());
        GroupRow { id: id.to_owned(), account_id, name, members: 0, created_at: at, updated_at: at }
    }

    fn code(error: async_graphql::Error) -> String {
        error.extensions.unwrap().get("code").unwrap().to_string()
    }

    #[test]
    fn a_cursor_leads_back_to_its_row_in_its_list_alone() {
        let cursor = Cursor::of(&group("6f2c/x"));
        assert_eq!(Cursor::read::<GroupRow>(&cursor.0).unwrap(), Cell::from("6f2c/x"));
        let encoded = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let wrong = ["", "x", "===", &encoded("2/groups/x"), &encoded("1/audit/7"), &encoded("1/groups"), "MQ=="];
        for text in wrong {
            assert_eq!(code(Cursor::read::<GroupRow>(text).unwrap_err()), "\"INVALID_CURSOR\"", "{text}");
        }
        for text in [encoded("1/groups/a\0b"), encoded(&format!("1/groups/{}", "a".repeat(101)))] {
            assert!(Cursor::read::<GroupRow>(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_numeric_cursor_holds_a_number() {
        let read = |text: &str| Cursor::read::<AuditRow>(&BASE64_URL_SAFE_NO_PAD.encode(text));
        assert_eq!(read("1/audit/7").unwrap(), Cell::from(7));
        assert!(read("1/audit/7x").is_err() && read("1/audit/-7").is_err());
    }

    #[test]
    fn a_window_has_one_size_within_bounds() {
        let page = |first, last| Window::new(first, None, last, None).page::<GroupRow>();
        let sizes = |page: Page| (page.limit, page.from_end);
        assert_eq!(page(None, None).map(sizes).unwrap(), (20, false));
        assert_eq!(page(Some(100), None).map(sizes).unwrap(), (100, false));
        assert_eq!(page(None, Some(1)).map(sizes).unwrap(), (1, true));
        for (first, last) in [(Some(1), Some(1)), (Some(0), None), (Some(-1), None), (Some(101), None), (None, Some(0))]
        {
            assert_eq!(code(page(first, last).unwrap_err()), "\"INVALID_INPUT\"");
        }
    }

    #[test]
    fn a_page_costs_what_its_rows_do() {
        assert_eq!(cost(Some(50), None, 4), 201);
        assert_eq!(cost(None, None, 4), 81);
        assert_eq!(cost(Some(i32::MAX), None, 4), 401);
        assert_eq!(cost(Some(-5), None, usize::MAX), BEYOND);
    }
}
