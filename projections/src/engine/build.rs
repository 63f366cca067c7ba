//! One build of a projection: its code with the physical tables it fills.

use std::sync::Arc;

use crate::engine::cell::ColumnKind;
use crate::engine::projection::Projection;
use crate::engine::rows::TableShape;
use crate::engine::sql::{EngineConnection, SqlTarget};
use crate::engine::table::Table;

/// What the tables of a rebuild are called by until they are switched.
const BESIDE: &str = "_rebuild";

pub(crate) struct ProjectionBuild {
    pub projection: Arc<dyn Projection>,
    /// Of its registry row.
    pub id: String,
    pub shapes: Vec<TableShape>,
}

impl ProjectionBuild {
    /// The build that serves queries.
    pub fn serving(projection: &Arc<dyn Projection>) -> Self {
        Self::named(projection, "")
    }

    /// The build that a rebuild fills beside it.
    pub fn beside(projection: &Arc<dyn Projection>) -> Self {
        Self::named(projection, BESIDE)
    }

    /// The statements of the table, none if the projection has no such table.
    pub fn shape(&self, table: &str) -> Option<&TableShape> {
        self.shapes.iter().find(|shape| shape.table.name == table)
    }

    /// Its tables as text, to find out that they were changed without a new version.
    pub fn definition(&self) -> String {
        self.projection.tables().iter().map(|table| definition(table)).collect::<Vec<_>>().join("; ")
    }

    /// Makes the tables anew, empty and without indexes: those are made by [`ProjectionBuild::index`] once the build has caught
    /// up, at a fraction of what it costs to keep them while a long history is folded.
    pub async fn create(&self, on: &mut SqlTarget<'_>) -> Result<(), sqlx::Error> {
        self.remove(on).await?;
        for shape in &self.shapes {
            let statement = shape.create(on);
            on.execute(&statement, &[]).await?;
        }
        Ok(())
    }

    /// Makes the indexes that are missing, each in a separate transaction, so that other writers come in between.
    /// `number` sets their names apart from those of other builds. What a table of Postgres holds is not known to the
    /// plans of queries until it is analysed.
    pub async fn index(&self, conn: &mut EngineConnection, number: i64) -> Result<(), sqlx::Error> {
        let statements: Vec<String> = self.shapes.iter().flat_map(|shape| shape.index(&conn.on(), number)).collect();
        for statement in statements {
            let mut tx = conn.begin().await?;
            tx.on().execute(&statement, &[]).await?;
            tx.commit().await?;
        }
        if let EngineConnection::Postgres(_) = conn {
            for shape in &self.shapes {
                conn.on().execute(&format!("ANALYZE {}", shape.physical), &[]).await?;
            }
        }
        Ok(())
    }

    /// Drops the tables of the build.
    pub async fn remove(&self, on: &mut SqlTarget<'_>) -> Result<(), sqlx::Error> {
        for shape in &self.shapes {
            on.execute(&format!("DROP TABLE IF EXISTS {}", shape.physical), &[]).await?;
        }
        Ok(())
    }

    /// The lease that a writer of this build holds.
    pub fn lease(&self) -> String {
        format!("{PROJECTION_LEASE_PREFIX}{}", self.id)
    }

    fn named(projection: &Arc<dyn Projection>, suffix: &str) -> Self {
        Self {
            id: format!("{}_v{}{suffix}", projection.name(), projection.version()),
            shapes: shapes(projection.as_ref(), suffix),
            projection: Arc::clone(projection),
        }
    }
}

/// What the lease's name puts before the build's id.
pub(crate) const PROJECTION_LEASE_PREFIX: &str = "projection/";

pub(crate) fn shapes(projection: &dyn Projection, suffix: &str) -> Vec<TableShape> {
    let shape = |table: &&'static Table| TableShape::new(table, projection.version(), suffix);
    projection.tables().iter().map(shape).collect()
}

fn definition(table: &Table) -> String {
    let column = |column: &crate::engine::table::Column| {
        let kind = if column.kind == ColumnKind::Text { "text" } else { "int" };
        format!("{} {kind}{}", column.name, if column.nullable { "?" } else { "" })
    };
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    let indexes: Vec<String> = table.indexes.iter().map(|index| index.join("+")).collect();
    format!("{}({}) [{}]", table.name, columns.join(", "), indexes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database knows the tables of a version by their definition and refuses another one under the same version.
    #[test]
    fn released_tables_change_only_with_their_version() {
        let tables = |projection: &Arc<dyn Projection>| {
            let tables = projection.tables().iter();
            let lines = tables.map(|table| format!("  {} by {}\n", definition(table), table.key().name));
            format!("{}\n{}", ProjectionBuild::serving(projection).id, lines.collect::<String>())
        };
        let now: String = crate::all().iter().map(tables).collect();
        let released = include_str!("../../released/tables.txt");
        assert_eq!(now, released, "raise the version, then write projections/released/tables.txt anew:\n{now}");
    }
}
