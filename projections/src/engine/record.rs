//! One list of columns per record: from it come the table's description, the cells that are written and the reader.

/// Lets a column hold a value by its name: `named_cell!(RequestState, RequestState::named)`.
macro_rules! named_cell {
    ($type:ty, $named:expr) => {
        impl $crate::engine::cell::CellField for $type {
            const KIND: $crate::ColumnKind = $crate::ColumnKind::Text;

            fn into_cell(self) -> $crate::CellValue {
                self.name().into()
            }

            fn from_cell(cell: $crate::CellValue) -> Option<Self> {
                let text = <String as $crate::engine::cell::CellField>::from_cell(cell)?;
                let named: fn(&str) -> Option<Self> = $named;
                named(&text)
            }
        }
    };
}
pub(crate) use named_cell;

/// Declares a record, or maps one that exists, and implements [`TableRecord`](crate::TableRecord) for it.
///
/// ```text
/// table_record! {
///     /// A bucket as queries show it.
///     pub struct BucketRow in "buckets" indexed by [["account_id", "id"]] {
///         key pub id: String,                // `position pub position: u64` of an append-only table
///         pub account_id: String,            // a field and its column
///         derived todo: String = Self::todo, // a column to find rows by, which follows from the fields
///     }
/// }
/// ```
///
/// `key Self::composed` in the place of a field makes the key of the others. A record that is not flat lists its columns
/// with what each is written from, and then how it is read from them:
///
/// ```text
/// table_record! {
///     impl MessageRow in "messages" indexed by [["account_id", "id"]] from row {
///         key id: String = row.id,
///         attempts: u32 = row.state.attempts,
///     }
///     Ok(Self { id, state: Message { attempts, ..Message::default() } })
/// }
/// ```
macro_rules! table_record {
    (
        $(#[$of_record:meta])*
        pub struct $record:ident in $table:literal indexed by [$([$($index:literal),+]),*] {
            $(#[$of_key:meta])*
            $kind:ident pub $key:ident: $key_type:ty,
            $($(#[$of_field:meta])* pub $field:ident: $type:ty,)*
            $(
                derived $derived:ident: $derived_type:ty = $derive:expr,
                $($(#[$of_later:meta])* pub $later:ident: $later_type:ty,)*
            )*
        }
    ) => {
        $(#[$of_record])*
        pub struct $record {
            $(#[$of_key])*
            pub $key: $key_type,
            $($(#[$of_field])* pub $field: $type,)*
            $($($(#[$of_later])* pub $later: $later_type,)*)*
        }

        $crate::engine::record::table_record! {
            @impl $record, $table, [$(&[$($index),+]),*], $crate::engine::record::is_append_only!($kind),
            row, ToString::to_string(&row.$key),
            { $(let $derived = <$derived_type>::from($derive(&row));)* },
            {
                $key: $key_type = row.$key => $key,
                $($field: $type = row.$field => $field,)*
                $(
                    $derived: $derived_type = $derived => _,
                    $($later: $later_type = row.$later => $later,)*
                )*
            },
            Ok(Self { $key, $($field,)* $($($later,)*)* })
        }
    };
    (
        $(#[$of_record:meta])*
        pub struct $record:ident in $table:literal indexed by [$([$($index:literal),+]),*] {
            key $compose:expr,
            $($(#[$of_field:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$of_record])*
        pub struct $record {
            $($(#[$of_field])* pub $field: $type,)*
        }

        $crate::engine::record::table_record! {
            @impl $record, $table, [$(&[$($index),+]),*], false,
            row, $compose(row),
            { let id = $compose(&row); },
            {
                id: String = id => _,
                $($field: $type = row.$field => $field,)*
            },
            Ok(Self { $($field),* })
        }
    };
    (
        impl $record:ident in $table:literal indexed by [$([$($index:literal),+]),*] from $row:ident {
            key $key:ident: $key_type:ty = $key_value:expr,
            $($column:ident: $type:ty = $value:expr,)*
        }
        $built:expr
    ) => {
        $crate::engine::record::table_record! {
            @impl $record, $table, [$(&[$($index),+]),*], false,
            $row, ToString::to_string(&$key_value),
            {},
            {
                $key: $key_type = $key_value => $key,
                $($column: $type = $value => $column,)*
            },
            {
                // Those that follow from others are there to find rows by.
                let _ = ($(&$column,)*);
                $built
            }
        }
    };
    (
        @impl $record:ident, $table:literal, $indexes:tt, $append_only:expr,
        $row:ident, $id:expr,
        { $($before:tt)* },
        {
            $key:ident: $key_type:ty = $key_value:expr => $key_local:tt,
            $($column:ident: $type:ty = $value:expr => $local:tt,)*
        },
        $built:expr
    ) => {
        impl $crate::TableRecord for $record {
            const TABLE: &'static $crate::Table = &$crate::Table {
                name: $table,
                columns: &[$($crate::Column::of::<$type>(stringify!($column))),*],
                indexes: &$indexes,
                append_only: $append_only,
            };

            fn id(&self) -> String {
                let $row = self;
                $id
            }

            fn into_cells(self) -> Vec<$crate::CellValue> {
                use $crate::engine::cell::CellField;

                let $row = self;
                $($before)*
                vec![
                    <$key_type as CellField>::into_cell($key_value),
                    $(<$type as CellField>::into_cell($value)),*
                ]
            }

            fn from_cells(cells: &mut $crate::CellReader) -> Result<Self, $crate::DamagedRow> {
                let $key_local = cells.field::<$key_type>()?;
                $(let $local = cells.field::<$type>()?;)*
                $built
            }
        }
    };
}
pub(crate) use table_record;

/// Whether the word before a record's key is that of an append-only table.
macro_rules! is_append_only {
    (key) => {
        false
    };
    (position) => {
        true
    };
}
pub(crate) use is_append_only;
