//! Relay connections with keyset cursors: <https://relay.dev/graphql/connections.htm>

use async_graphql::connection::{
    self, ConnectionNameType, CursorType, DefaultConnectionName, DefaultEdgeName, Edge, EdgeNameType, EmptyFields,
};
use async_graphql::{Context, Object, OutputType, Result};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{FutureExt, future::BoxFuture};
use wasend_projections::engine::sql::StoreError;
use wasend_projections::pagination::{self, PageRequest, RowFilter, RowPage};
use wasend_projections::{CellValue, ReadModels, TableRecord};

use super::error::{invalid, unavailable};
use super::state::GraphqlState;
use crate::problem::ProblemCode;

/// Size of a page for which none is asked.
const PAGE_ROWS_DEFAULT: usize = 20;
/// Largest page.
const PAGE_ROWS_MAX: usize = 100;
/// Longest key in a cursor, in bytes; those that are made stay below.
const CURSOR_KEY_CHARS_MAX: usize = 100;
/// Of the cursors' form; cursors of another one are refused.
const VERSION: &str = "1";

/// In which order rows are listed: by one unique column.
pub trait OrderedRow: TableRecord {
    /// In the cursors, so that none is taken for another list's.
    const LIST: &'static str;
    const COLUMN: &'static str;
    const DESCENDING: bool = false;

    /// The row's value of the column.
    fn key(&self) -> CellValue;

    /// Reads such a value; a key that no row can have is none.
    fn parse(key: &str) -> Option<CellValue> {
        let plain = key.len() <= CURSOR_KEY_CHARS_MAX && key.bytes().all(|b| b.is_ascii_graphic());
        plain.then(|| CellValue::from(key))
    }
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    fn of<R: OrderedRow>(row: &R) -> Self {
        let key = match row.key() {
            CellValue::Text(text) => text.unwrap_or_default(),
            CellValue::Int(number) => number.unwrap_or_default().to_string(),
        };
        Self(BASE64_URL_SAFE_NO_PAD.encode(format!("{VERSION}/{}/{key}", R::LIST)))
    }

    fn read<R: OrderedRow>(text: &str) -> Result<CellValue> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let plain = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let key = plain.as_deref().and_then(|plain| {
            let mut parts = plain.splitn(3, '/');
            let ours = parts.next() == Some(VERSION) && parts.next() == Some(R::LIST);
            R::parse(parts.next().filter(|_| ours)?)
        });
        key.ok_or_else(|| ProblemCode::InvalidCursor.graphql("the cursor was not made by this connection"))
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
pub struct PageArguments {
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
}

impl PageArguments {
    /// Relay's four arguments as the client gave them.
    pub const fn new(first: Option<i32>, after: Option<String>, last: Option<i32>, before: Option<String>) -> Self {
        Self { first, after, last, before }
    }

    /// The page that they ask for, of [`PAGE_ROWS_DEFAULT`] rows where they do not say. Errors: INVALID_INPUT for sizes
    /// out of bounds or both directions at once, INVALID_CURSOR for a cursor of another list.
    pub fn page<R: OrderedRow>(&self) -> Result<PageRequest> {
        let (limit, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(invalid("first and last exclude each other")),
            (None, None) => (PAGE_ROWS_DEFAULT, false),
            (Some(first), None) => (size("first", first)?, false),
            (None, Some(last)) => (size("last", last)?, true),
        };
        let cursor = |text: &Option<String>| text.as_deref().map(Cursor::read::<R>).transpose();
        let (after, before) = (cursor(&self.after)?, cursor(&self.before)?);
        Ok(PageRequest { column: R::COLUMN, descending: R::DESCENDING, after, before, limit, from_end })
    }
}

fn size(name: &str, number: i32) -> Result<usize> {
    let number = usize::try_from(number).ok().filter(|number| (1..=PAGE_ROWS_MAX).contains(number));
    number.ok_or_else(|| invalid(format!("{name} must be from 1 to {PAGE_ROWS_MAX}")))
}

/// The complexity of a connection: that of its rows, as often as the page may have any.
pub fn cost(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    let rows = first.or(last).and_then(|rows| usize::try_from(rows).ok()).unwrap_or(PAGE_ROWS_DEFAULT);
    times(rows.clamp(1, PAGE_ROWS_MAX), child)
}

/// Far above every limit, and so far below the largest number that no sum of it over a document wraps around.
const COMPLEXITY_CEILING: usize = 1 << 40;

/// The complexity of a list that has about so many rows.
pub fn times(rows: usize, child: usize) -> usize {
    rows.saturating_mul(child).saturating_add(1).min(COMPLEXITY_CEILING)
}

/// A connection, called after its nodes unless `C` and `E` say otherwise for itself and its edges.
pub type PageConnection<N, C = DefaultConnectionName, E = DefaultEdgeName> =
    connection::Connection<Cursor, N, TotalCount, EmptyFields, C, E>;

type CountQuery = Box<dyn Fn(ReadModels) -> BoxFuture<'static, Result<u64, StoreError>> + Send + Sync>;

/// What a connection has beside its page.
pub struct TotalCount(CountQuery);

impl TotalCount {
    /// A count that is made only when `totalCount` is selected.
    pub fn new(
        counting: impl Fn(ReadModels) -> BoxFuture<'static, Result<u64, StoreError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(counting))
    }
}

#[Object(name = "Total")]
impl TotalCount {
    /// How many there are on all pages together.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u64> {
        (self.0)(GraphqlState::of(ctx).reads.clone()).await.map_err(unavailable)
    }
}

/// One page of a list as a connection.
pub async fn connect<R: OrderedRow, N: OutputType, C: ConnectionNameType, E: EdgeNameType>(
    state: &GraphqlState,
    filter: RowFilter,
    window: &PageArguments,
    node: impl Fn(R) -> N,
) -> Result<PageConnection<N, C, E>> {
    let page = window.page::<R>()?;
    let listed = pagination::list::<R>(&state.reads, filter.clone(), page).await.map_err(unavailable)?;
    let total = TotalCount::new(move |reads| {
        let filter = filter.clone();
        async move { pagination::count::<R>(&reads, &filter).await }.boxed()
    });
    Ok(connection(listed, total, node))
}

/// The connection of a page that was read: a cursor and a node for each row.
fn connection<R: OrderedRow, N: OutputType, C: ConnectionNameType, E: EdgeNameType>(
    listed: RowPage<R>,
    total: TotalCount,
    node: impl Fn(R) -> N,
) -> PageConnection<N, C, E> {
    let mut connection = PageConnection::with_additional_fields(listed.has_previous, listed.has_next, total);
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
        assert_eq!(Cursor::read::<GroupRow>(&cursor.0).unwrap(), CellValue::from("6f2c/x"));
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
        assert_eq!(read("1/audit/7").unwrap(), CellValue::from(7));
        assert!(read("1/audit/7x").is_err() && read("1/audit/-7").is_err());
    }

    #[test]
    fn a_window_has_one_size_within_bounds() {
        let page = |first, last| PageArguments::new(first, None, last, None).page::<GroupRow>();
        let sizes = |page: PageRequest| (page.limit, page.from_end);
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
        assert_eq!(cost(Some(-5), None, usize::MAX), COMPLEXITY_CEILING);
    }
}
