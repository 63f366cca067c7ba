//! What Postgres needs to keep up with a build's tables: its own autovacuum looks once a minute at most, which is late for
//! tables that grow or empty by a thousand rows a second.

use sqlx::{AssertSqlSafe, PgPool};

use crate::engine::build::ProjectionBuild;

/// So many deleted rows are cleared away at once.
const VACUUM_ROWS_MIN: usize = 5_000;
/// So many rows are first told to the planner, and again each time when they are twice as many.
const ANALYSE_ROWS_MIN: usize = 250;

/// What was written to a build's tables since this node folds it, and deleted since they were vacuumed.
#[derive(Debug, Default)]
pub(crate) struct TableMaintenance {
    deleted: usize,
    written: usize,
    analysed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaintenanceTask {
    /// To clear deleted rows away. Their entries stay in the indexes until then, and lie at the front of one by which the
    /// list of what is to be done is read.
    Vacuum,
    /// To let the planner know what the tables hold. A plan that was made for an empty one stays in use, and reads it
    /// whole for a single row.
    /// Tables of which it knows half as many rows as were `written` are left alone, as after a restart.
    Analyse { written: usize },
}

/// How many rows the planner believes a table to have: -1 before it heard of it.
const SELECT_ROW_ESTIMATE: &str = "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass($1)";

impl TableMaintenance {
    /// Takes note of rows that were put and deleted.
    pub fn count(&mut self, put: usize, deleted: usize) {
        self.written += put + deleted;
        self.deleted += deleted;
    }

    /// What is to be done next, which counts as done then.
    pub fn due(&mut self) -> Option<MaintenanceTask> {
        if self.deleted >= VACUUM_ROWS_MIN {
            self.deleted = 0;
            Some(MaintenanceTask::Vacuum)
        } else if self.written >= ANALYSE_ROWS_MIN.max(2 * self.analysed) {
            self.analysed = self.written;
            Some(MaintenanceTask::Analyse { written: self.written })
        } else {
            None
        }
    }
}

impl ProjectionBuild {
    /// Runs beside the daemon, and locks no reader and no writer out: the file of a table that is vacuumed stays as
    /// long as it is, since to cut it would.
    pub async fn run_maintenance(&self, chore: MaintenanceTask, pool: &PgPool) -> Result<(), sqlx::Error> {
        for shape in &self.shapes {
            let table = &shape.physical;
            let statement = match chore {
                MaintenanceTask::Vacuum if shape.table.append_only => continue,
                MaintenanceTask::Vacuum => format!("VACUUM (TRUNCATE FALSE) {table}"),
                MaintenanceTask::Analyse { written } => {
                    let known: Option<i64> =
                        sqlx::query_scalar(SELECT_ROW_ESTIMATE).bind(table).fetch_optional(pool).await?;
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
        let mut upkeep = TableMaintenance::default();
        let analysed = (1..=10_000).filter(|_| {
            upkeep.count(1, 0);
            matches!(upkeep.due(), Some(MaintenanceTask::Analyse { .. }))
        });
        assert_eq!(analysed.collect::<Vec<_>>(), [250, 500, 1_000, 2_000, 4_000, 8_000]);
        upkeep.count(0, VACUUM_ROWS_MIN);
        assert_eq!((upkeep.due(), upkeep.due()), (Some(MaintenanceTask::Vacuum), None));
    }
}
