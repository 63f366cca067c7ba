//! What Postgres needs to keep up with a build's tables: its own autovacuum looks once a minute at most, which is late for
//! tables that grow or empty by a thousand rows a second.

use sqlx::{AssertSqlSafe, PgPool};

use crate::engine::build::Build;

/// So many deleted rows are cleared away at once.
const VACUUM_AFTER: usize = 5_000;
/// So many rows are first told to the planner, and again each time when they are twice as many.
const ANALYSE_FROM: usize = 250;

/// What was written to a build's tables since this node folds it, and deleted since they were vacuumed.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    deleted: usize,
    written: usize,
    analysed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chore {
    /// To clear deleted rows away. Their entries stay in the indexes until then, and lie at the front of one by which the
    /// list of what is to be done is read.
    Vacuum,
    /// To let the planner know what the tables hold. A plan that was made for an empty one stays in use, and reads it
    /// whole for a single row.
    /// Tables of which it knows half as many rows as were `written` are left alone, as after a restart.
    Analyse { written: usize },
}

/// How many rows the planner believes a table to have: -1 before it heard of it.
const KNOWN: &str = "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass($1)";

impl Upkeep {
    /// Takes note of rows that were put and deleted.
    pub fn count(&mut self, put: usize, deleted: usize) {
        self.written += put + deleted;
        self.deleted += deleted;
    }

    /// What is to be done next, which counts as done then.
    pub fn due(&mut self) -> Option<Chore> {
        if self.deleted >= VACUUM_AFTER {
            self.deleted = 0;
            Some(Chore::Vacuum)
        } else if self.written >= ANALYSE_FROM.max(2 * self.analysed) {
            self.analysed = self.written;
            Some(Chore::Analyse { written: self.written })
        } else {
            None
        }
    }
}

impl Build {
    /// Done beside what the tail does, and locks no reader and no writer out: the file of a table that is vacuumed stays as
    /// long as it is, since to cut it would.
    pub async fn see_to(&self, chore: Chore, pool: &PgPool) -> Result<(), sqlx::Error> {
        for shape in &self.shapes {
            let table = &shape.physical;
            let statement = match chore {
                Chore::Vacuum if shape.table.append_only => continue,
                Chore::Vacuum => format!("VACUUM (TRUNCATE FALSE) {table}"),
                Chore::Analyse { written } => {
                    let known: Option<i64> = sqlx::query_scalar(KNOWN).bind(table).fetch_optional(pool).await?;
                    if known.is_none_or(|known| usize::try_from(known).unwrap_or(0) >= written.div_ceil(2)) {
                        continue;
                    }
                    format!("ANALYZE {table}")
                }
            };
            sqlx::query(AssertSqlSafe(statement)).execute(pool).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planner_hears_of_rows_each_time_when_they_are_twice_as_many() {
        let mut upkeep = Upkeep::default();
        let analysed = (1..=10_000).filter(|_| {
            upkeep.count(1, 0);
            matches!(upkeep.due(), Some(Chore::Analyse { .. }))
        });
        assert_eq!(analysed.collect::<Vec<_>>(), [250, 500, 1_000, 2_000, 4_000, 8_000]);
        upkeep.count(0, VACUUM_AFTER);
        assert_eq!((upkeep.due(), upkeep.due()), (Some(Chore::Vacuum), None));
    }
}
